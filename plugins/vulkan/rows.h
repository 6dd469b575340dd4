// For operators that work on rows, one workgroup each.
#pragma once
#include "plugins/vulkan/op.h"

namespace vks::vulkan {

// A program of `shader` in its best variant for the device, "subgroup" where there is one. The workgroup is one
// subgroup on a device run by the CPU, where barriers and idle lanes cost, else up to 256 and no wider than a row.
Program row_program(const Caps& caps, const std::string& shader, int64_t columns,
                    std::vector<std::pair<const char*, uint32_t>> constants);

// A recipe of this one program.
Recipe row_recipe(Program program);

}  // namespace vks::vulkan
