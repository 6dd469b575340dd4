// Asks a device whether it decodes e4m3 as it should: drivers that flush subnormal f16 values don't say so, and
// matrices of e4m3 are too young to be believed.
#pragma once
#include "plugins/vulkan/device.h"

namespace vks::vulkan {

// Runs shaders/check/fp8_codes.comp over all 256 codes and waits. False also when the device doesn't answer.
bool decodes_fp8_by_half(vks_device& device);
// The same by shaders/check/float8_codes.comp: codes times one, as matrices. False also where there are none.
bool multiplies_float8(vks_device& device);

}  // namespace vks::vulkan
