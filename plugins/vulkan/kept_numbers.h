// vks.tuning/1: the numbers that measuring chose for a device, in a file of the user's cache.
#pragma once
#include "backend/abi/draft/tuning.h"
#include "plugins/vulkan/gpu.h"

namespace vks::vulkan {

extern const vks_tuning_api kTuningApi;

// Into the device's capabilities. No file, or one that isn't as it was written: as if there were none.
void load_numbers(Gpu& gpu);

}  // namespace vks::vulkan
