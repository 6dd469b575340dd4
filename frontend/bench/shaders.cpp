#include "frontend/bench/shaders.h"

#include "backend/base/bad_input.h"

namespace vks::bench {

template <class Call>
bool Shaders::called(Call&& call) {
    t_.error = {};
    return t_.note(abi::guard(&t_.error, call));
}

Status Shaders::refused(const std::string& what) const {
    return Error{Code::kNoBackend,
                 fmt::format("{} ({}): {}", what, t_.info.name, conformance::describe(t_.status, t_.error))};
}

std::vector<vks_program> Shaders::programs(const vks_op& op) {
    std::vector<vks_program> all;
    vks_program program{};
    program.size = sizeof program;
    while (called([&] { return api_.program(t_.device, &op, uint32_t(all.size()), &program, &t_.error); })) {
        program.shader[sizeof program.shader - 1] = program.constants[sizeof program.constants - 1] = 0;
        all.push_back(program);
    }
    return all;
}

std::vector<vks_program> Shaders::programs(const conformance::Case& c) {
    const std::vector<vks_tensor> tensors = declare(c);
    return programs(ask(c, tensors));
}

std::vector<std::pair<std::string, uint64_t>> Shaders::statistics(const vks_op& op, uint32_t nth) {
    std::vector<std::pair<std::string, uint64_t>> all;
    vks_statistic s{};
    s.size = sizeof s;
    const auto next = [&] { return api_.statistic(t_.device, &op, nth, uint32_t(all.size()), &s, &t_.error); };
    while (called(next)) {
        s.name[sizeof s.name - 1] = 0;
        all.emplace_back(one_line(s.name), s.value);
    }
    return all;
}

std::vector<std::pair<std::string, uint64_t>> Shaders::statistics(const conformance::Case& c, uint32_t nth) {
    const std::vector<vks_tensor> tensors = declare(c);
    return statistics(ask(c, tensors), nth);
}

Status Shaders::replace(const std::string& shader, const std::vector<uint32_t>& words) {
    if (called([&] { return api_.replace(t_.device, shader.c_str(), words.data(), words.size(), &t_.error); }))
        return {};
    return refused("shader " + shader);
}

Status Shaders::tune(const std::string& number, uint64_t value) {
    if (called([&] { return api_.tune(t_.device, number.c_str(), value, &t_.error); })) return {};
    return refused("number " + number);
}

}  // namespace vks::bench
