// Cooperative matrices (VK_KHR_cooperative_matrix): which a device has, and how it is created with them. Headers from
// before that extension know of none; the compilers of their time don't, either.
#pragma once
#include "plugins/vulkan/gpu.h"

namespace vks::vulkan {

inline constexpr const char* kMatrixExtension = "VK_KHR_cooperative_matrix";

// The shape that suits shaders/lib/matrix.glsl best; none if the device lacks one or anything else that takes. For
// devices with the extension.
MatrixShape find_matrices(const Gpu& gpu);

// The features to create a device with, so that shaders may use matrices.
struct MatrixFeatures {
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroups{};
#ifdef VK_KHR_cooperative_matrix
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices{};
#endif
    // Fills these for matrices of that shape and gives the first; null for none. Points into this object.
    void* chain(const MatrixShape& shape);
};

}  // namespace vks::vulkan
