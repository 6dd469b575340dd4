#include "frontend/bench/shader_bench.h"

#include <algorithm>
#include <sstream>

#include "backend/base/bad_input.h"
#include "frontend/io/json.h"

namespace vks::bench {
namespace {

// Constants in memory from one run to the next: no more than that.
constexpr double kMostKept = 1e9;

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

// Of that shader, whichever variant?
bool is_of(const vks_program& program, const std::string& shader) {
    const std::string_view name = program.shader;
    return name.substr(0, name.find('.')) == shader;
}

OpBenchOptions with_statistics(OpBenchOptions options) {
    options.device_options += ";statistics=1";
    return options;
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
                         const vks_shader_api& api, ShaderBenchOptions options, const std::vector<OpFamily>& families)
    : options_(std::move(options)),
      families_(families),
      bench_(std::make_unique<OpBench>(plugin, index, reference, with_statistics(options_.ops))),
      shaders_(bench_->target(), api) {}

// These numbers and no others.
Status ShaderBench::tune(const Numbers& numbers) {
    if (set_ == numbers) return {};
    for (const auto& [name, value] : set_) VKS_TRY(shaders_.tune(options_.shader + '.' + name, 0));
    set_ = numbers;
    for (const auto& [name, value] : set_) VKS_TRY(shaders_.tune(options_.shader + '.' + name, value));
    return {};
}

// The device as it was opened.
Status ShaderBench::restore() {
    for (const std::string& shader : in_place_) VKS_TRY(shaders_.replace(shader, {}));
    in_place_.clear();
    return tune({});
}

// Variants that were needed are most likely wanted again: they are compiled at the same time.
void ShaderBench::begin(const Numbers& numbers) {
    numbers_ = numbers;
    taken_.clear();
    files_ = {options_.file};
    ahead_.clear();
    compiled_.clear();
    for (const std::string& shader : variants_) {
        ahead_[shader] = std::async(std::launch::async, [this, macros = macros_of(shader)] {
            return compile_glsl(options_.file, {options_.include_dirs, macros});
        });
    }
}

// Compiles the variant unless that is done, and gives it to the device.
Status ShaderBench::take_place(const std::string& shader) {
    const bool fresh = !compiled_.contains(shader);
    variants_.insert(shader);
    if (fresh) {
        const auto ahead = ahead_.find(shader);
        VKS_ASSIGN(Spirv made, ahead != ahead_.end()
                                   ? ahead->second.get()
                                   : compile_glsl(options_.file, {options_.include_dirs, macros_of(shader)}));
        files_.insert(made.files.begin(), made.files.end());
        compiled_[shader] = std::move(made);
    }
    if (!fresh && in_place_.contains(shader)) return {};
    VKS_TRY(shaders_.replace(shader, compiled_[shader].words));
    in_place_.insert(shader);
    return {};
}

// The cases of a family that run the shader, checked with the built-in.
Result<ShaderBench::Placed*> ShaderBench::place(const OpFamily& family) {
    std::unique_ptr<Placed>& slot = placed_[&family];
    if (slot) return slot.get();
    if (const std::string why = bench_->too_large(family); !why.empty())
        return Error{Code::kNoBackend,
                     fmt::format("shader ({}): {} {}: {}", options_.file.string(), family.op, family.name, why)};
    VKS_TRY(restore());
    auto made = std::make_unique<Placed>(*bench_, family.make());
    for (const int64_t rows : options_.ops.rows) {
        if (!OpBench::asks_for(family, rows) || family.flops(rows) > options_.ops.most_flops) continue;
        if (!bench_->too_large(family, rows).empty()) continue;
        family.set_rows(made->whole, rows);
        const std::vector<vks_program> all = shaders_.programs(made->whole.arguments);
        if (std::none_of(all.begin(), all.end(), [&](const vks_program& p) { return is_of(p, options_.shader); }))
            continue;
        const OpCase& whole = made->whole;
        auto one = std::make_unique<Case>();
        one->c = {without_constants(whole.arguments), whole.shape, whole.bytes, whole.flops};
        one->builtin = bench_->check(made->here, made->there, one->c, one->expected);
        if (one->builtin->result.skipped.empty()) made->cases.push_back(std::move(one));
    }
    slot = std::move(made);
    placed_bytes_ += family.constant_bytes;
    return slot.get();
}

Result<ShaderResult> ShaderBench::measure(Placed& placed, Case& one) {
    ShaderResult result;
    VKS_TRY(tune(numbers_));
    const std::vector<vks_program> all = shaders_.programs(one.c.arguments);
    for (uint32_t nth = 0; nth < all.size(); ++nth) {
        if (!is_of(all[nth], options_.shader)) continue;
        VKS_TRY(take_place(all[nth].shader));
        result.programs.push_back({all[nth].shader, all[nth].constants, shaders_.statistics(one.c.arguments, nth)});
        for (const auto& [name, value] : numbers_)
            if (has_number(all[nth].constants, name, value)) taken_.insert(name);
    }
    const auto given = bench_->check(placed.here, placed.there, one.c, one.expected);
    Status tuned;  // dispatches follow the numbers, too
    bench_->time({one.builtin.get(), given.get()}, [&](size_t turn) {
        if (tuned) tuned = tune(turn == 0 ? Numbers{} : numbers_);
    });
    if (!tuned) return tuned.error();
    result.builtin = one.builtin->result;
    result.given = given->result;
    return result;
}

Result<std::vector<ShaderResult>> ShaderBench::run(const Numbers& numbers) {
    begin(numbers);
    std::vector<ShaderResult> results;
    for (const OpFamily& family : families_)  // before anything takes its place
        if (placed_bytes_ + family.constant_bytes <= kMostKept) VKS_TRY(place(family));
    for (const OpFamily& family : families_) {
        VKS_ASSIGN(Placed * placed, place(family));
        for (const auto& one : placed->cases) {
            VKS_ASSIGN(ShaderResult result, measure(*placed, *one));
            results.push_back(std::move(result));
        }
        if (placed_bytes_ <= kMostKept) continue;
        placed_.erase(&family);
        placed_bytes_ -= family.constant_bytes;
    }
    if (results.empty())
        return Error{Code::kNoBackend,
                     fmt::format("shader ({}): wanted a shader {} in the programs of its operators, found none",
                                 options_.file.string(), options_.shader)};
    return results;
}

std::optional<std::string> ShaderBench::left_aside() const {
    for (const auto& [name, value] : numbers_)
        if (!taken_.contains(name)) return name;
    return {};
}

}  // namespace vks::bench
