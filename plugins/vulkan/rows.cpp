#include "plugins/vulkan/rows.h"

#include <algorithm>
#include <bit>

namespace vks::vulkan {

Program row_program(const Caps& caps, const std::string& shader, int64_t columns,
                    std::vector<std::pair<const char*, uint32_t>> constants) {
    Program program;
    program.shader = caps.subgroup_arithmetic && has_shader(shader + ".subgroup") ? shader + ".subgroup" : shader;
    const uint32_t wide = std::min(256u, std::bit_floor(caps.max_invocations));
    const uint32_t row = uint32_t(std::clamp<int64_t>(columns, 1, wide));
    program.workgroup = caps.software ? std::min(wide, std::bit_floor(caps.subgroup))
                                      : std::min(wide, std::max(std::bit_floor(caps.subgroup), std::bit_ceil(row)));
    program.constants = std::move(constants);
    return program;
}

Recipe row_recipe(Program program) {
    Recipe recipe;
    const size_t dot = program.shader.find('.');
    recipe.variant = dot == std::string::npos ? "plain" : program.shader.substr(dot + 1);
    recipe.programs.push_back(std::move(program));
    return recipe;
}

}  // namespace vks::vulkan
