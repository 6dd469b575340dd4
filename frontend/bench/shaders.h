// vks.shader/1 on an open device: what operators' programs are, what the driver says of them, others in their place.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backend/abi/draft/shader.h"
#include "backend/base/result.h"
#include "backend/conformance/cases.h"
#include "backend/conformance/target.h"

namespace vks::bench {

// The target must outlive it. Not thread-safe.
class Shaders {
public:
    Shaders(conformance::Target& target, const vks_shader_api& api) : t_(target), api_(api) {}

    // All programs that the operator would be made of; none if the device doesn't take it.
    std::vector<vks_program> programs(const vks_op& op);
    std::vector<vks_program> programs(const conformance::Case& c);
    // What the driver says of the nth, by its own names; empty: nothing, see the target's error.
    std::vector<std::pair<std::string, uint64_t>> statistics(const vks_op& op, uint32_t nth);
    std::vector<std::pair<std::string, uint64_t>> statistics(const conformance::Case& c, uint32_t nth);
    // For kernels prepared from now on. No words, value 0: the plugin's own again.
    Status replace(const std::string& shader, const std::vector<uint32_t>& words);
    Status tune(const std::string& number, uint64_t value);

private:
    template <class Call>
    bool called(Call&& call);
    Status refused(const std::string& what) const;

    conformance::Target& t_;
    const vks_shader_api& api_;
};

}  // namespace vks::bench
