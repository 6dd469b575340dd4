#include "frontend/bench/shader_bench.h"

#include <algorithm>
#include <sstream>

#include "backend/base/bad_input.h"
#include "frontend/io/json.h"

namespace vks::bench {
namespace {

using conformance::Target;

// "SUBGROUP", "ADDRESSES" of "grouped_gemm.addresses_subgroup".
std::vector<std::string> macros_of(const std::string& shader) {
    std::vector<std::string> macros;
    const size_t dot = shader.find('.');
    if (dot == std::string::npos) return macros;
    std::istringstream words(shader.substr(dot + 1));
    for (std::string word; std::getline(words, word, '_');) {
        for (char& c : word) c = char(std::toupper(static_cast<unsigned char>(c)));
        macros.push_back(word);
    }
    return macros;
}

// Does "64 X=2 W=4" have it? WORKGROUP is the number in front.
bool has_number(const std::string& constants, const std::string& name, uint32_t value) {
    const std::string text = std::to_string(value);
    if (name == "WORKGROUP") return constants.substr(0, constants.find(' ')) == text;
    return (constants + ' ').find(' ' + name + '=' + text + ' ') != std::string::npos;
}

Error refused(const Target& t, const std::string& what) {
    return {Code::kNoBackend, fmt::format("{} ({}): {}", what, t.info.name, conformance::describe(t.status, t.error))};
}

template <class Call>
bool called(Target& t, Call&& call) {
    t.error = {};
    return t.note(abi::guard(&t.error, call));
}

}  // namespace

Result<std::vector<std::string>> operators_of(const std::filesystem::path& file) {
    VKS_ASSIGN(const std::string text, read_file(file, kMaxShader));
    std::istringstream in(text);
    std::vector<std::string> list;
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("//! op ")) continue;
        std::istringstream words(line.substr(7));
        for (std::string word; words >> word;) {
            if (word.ends_with(',')) word.pop_back();
            if (word.find('/') == std::string::npos) break;
            list.push_back(word);
        }
    }
    if (!list.empty()) return list;
    return bad_input("shader ({}): wanted a line \"//! op NAME/1 ...\", found none", file.string());
}

ShaderBench::ShaderBench(const vks_plugin& plugin, uint32_t index, const vks_plugin& reference,
                         const vks_shader_api& api, ShaderBenchOptions options)
    : api_(api), options_(std::move(options)) {
    OpBenchOptions ops = options_.ops;
    ops.device_options += ";statistics=1";
    ops.before = [this](Target& target, const OpCase& c) { return before(target, c); };
    bench_ = std::make_unique<OpBench>(plugin, index, reference, ops);
}

Status ShaderBench::tune(Target& target, bool on) {
    for (const auto& [name, value] : set_)
        if (!called(target,
                    [&] { return api_.tune(target.device, (options_.shader + '.' + name).c_str(), 0, &target.error); }))
            return refused(target, "number");
    set_ = on ? numbers_ : Numbers{};
    for (const auto& [name, value] : set_)
        if (!called(target, [&] {
                return api_.tune(target.device, (options_.shader + '.' + name).c_str(), value, &target.error);
            }))
            return refused(target, "number");
    tuned_ = true;
    return {};
}

// Compiles the variant unless that is done, and gives it to the device.
Status ShaderBench::take_place(Target& target, const std::string& shader) {
    if (in_place_.contains(shader)) return {};
    VKS_ASSIGN(Spirv made, compile_glsl(options_.file, {options_.include_dirs, macros_of(shader)}));
    files_.insert(made.files.begin(), made.files.end());
    const Spirv& kept = compiled_[shader] = std::move(made);
    if (!called(target, [&] {
            return api_.replace(target.device, shader.c_str(), kept.words.data(), kept.words.size(), &target.error);
        }))
        return refused(target, "shader " + shader);
    in_place_.insert(shader);
    return {};
}

ShaderProgram ShaderBench::describe(Target& target, const vks_op& op, uint32_t nth, const vks_program& program) {
    ShaderProgram found{program.shader, program.constants, {}};
    vks_statistic s{};
    s.size = sizeof s;
    for (uint32_t m = 0; called(target, [&] { return api_.statistic(target.device, &op, nth, m, &s, &target.error); });
         ++m) {
        s.name[sizeof s.name - 1] = 0;
        found.statistics.emplace_back(s.name, s.value);
    }
    for (const auto& [name, value] : numbers_)
        if (has_number(found.constants, name, value)) taken_.insert(name);
    return found;
}

// Whether the case's operator runs the shader on this device. If so, the given one is in its place from here on.
Result<bool> ShaderBench::before(Target& target, const OpCase& c) {
    if (!tuned_) VKS_TRY(tune(target, given_));
    programs_.clear();
    const std::vector<vks_tensor> tensors = declare(c.arguments);
    const vks_op op = conformance::ask(c.arguments, tensors);
    vks_program program{};
    program.size = sizeof program;
    for (uint32_t nth = 0;
         called(target, [&] { return api_.program(target.device, &op, nth, &program, &target.error); }); ++nth) {
        program.shader[sizeof program.shader - 1] = program.constants[sizeof program.constants - 1] = 0;
        const std::string shader = program.shader;
        if (shader.substr(0, shader.find('.')) != options_.shader) continue;
        if (given_) VKS_TRY(take_place(target, shader));
        programs_.push_back(describe(target, op, nth, program));
    }
    return !programs_.empty();
}

Result<std::vector<std::pair<OpResult, std::vector<ShaderProgram>>>> ShaderBench::measure(
    const std::vector<OpFamily>& families) {
    std::vector<std::pair<OpResult, std::vector<ShaderProgram>>> all;
    tuned_ = false;
    for (const OpFamily& family : families)
        VKS_TRY(bench_->run(family, [&](const OpResult& result) -> Status {
            if (result.skipped.empty()) all.emplace_back(result, programs_);
            return {};
        }));
    return all;
}

Result<std::vector<ShaderResult>> ShaderBench::run(const std::vector<OpFamily>& families, const Numbers& numbers) {
    if (builtin_.empty()) {
        given_ = false;
        VKS_ASSIGN(builtin_, measure(families));
        if (builtin_.empty())
            return Error{Code::kNoBackend,
                         fmt::format("shader ({}): wanted a shader {} in the programs of its operators, found none",
                                     options_.file.string(), options_.shader)};
    }
    given_ = true;
    numbers_ = numbers;
    taken_.clear();
    in_place_.clear();
    compiled_.clear();
    files_ = {options_.file};
    VKS_ASSIGN(const auto given, measure(families));
    for (const auto& [name, value] : numbers)
        if (!taken_.contains(name))
            return Error{Code::kUsage,
                         fmt::format("number (--spec {}={}): wanted one that {} takes on this device, found it left "
                                     "aside",
                                     name, value, options_.shader)};
    std::vector<ShaderResult> results;
    for (size_t i = 0; i < std::min(given.size(), builtin_.size()); ++i)
        results.push_back({builtin_[i].first, given[i].first, given[i].second});
    return results;
}

}  // namespace vks::bench
