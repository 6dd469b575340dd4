#include "plugins/vulkan/rows.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace vks::vulkan {

uint32_t wide_workgroup(const Caps& caps, int64_t columns) {
    const uint32_t most = std::min(256u, std::bit_floor(caps.max_invocations));
    const uint32_t row = uint32_t(std::clamp<int64_t>(columns, 1, most));
    return std::min(most, std::max(std::bit_floor(caps.subgroup), std::bit_ceil(row)));
}

uint32_t row_workgroup(const Caps& caps, int64_t columns) {
    return wide_workgroup(caps, caps.software ? 1 : columns);
}

Program row_program(const Caps& caps, const std::string& shader, int64_t columns,
                    std::vector<std::pair<std::string, uint32_t>> constants) {
    Program program;
    program.shader = caps.subgroup_arithmetic && has_shader(shader + ".subgroup") ? shader + ".subgroup" : shader;
    const uint32_t asked = caps.tuning.get(shader, "row", "WORKGROUP", 0);
    program.workgroup = asked >= 1 && asked <= caps.max_invocations && std::has_single_bit(asked)
                            ? asked
                            : row_workgroup(caps, columns);
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

uint64_t row_bytes(const Arg& a) {
    return uint64_t(a.row_elements() * abi::element_bytes(a.dtype));
}

uint64_t rows_at_once(const Caps& caps, const Signature& s, std::span<const size_t> args) {
    uint64_t rows = 1, most = UINT64_MAX, together = 1;
    for (const size_t index : args) {
        const Arg& a = s.args[index];
        const uint64_t bytes = a ? row_bytes(a) : 0;
        if (bytes == 0) continue;
        rows = std::max(rows, uint64_t(a.rows()));
        most = std::min(most, caps.max_binding / bytes);
        // A power of two, as the alignment is: the largest serves all.
        together = std::max(together, caps.offset_alignment / std::gcd(bytes, uint64_t{caps.offset_alignment}));
    }
    return rows <= most ? rows : most / together * together;
}

Recipe row_recipe(const Caps& caps, const Signature& s, std::span<const size_t> args, Program program) {
    Recipe recipe = row_recipe(std::move(program));
    if (rows_at_once(caps, s, args) == 0) recipe.refusal = "rows: longer than the device's largest binding";
    return recipe;
}

}  // namespace vks::vulkan
