// Cooperative matrices (VK_KHR_cooperative_matrix, of e4m3: VK_EXT_shader_float8): which a device has, and how it is
// created with them. Headers from before an extension know of none; the compilers of their time don't, either.
#pragma once
#include "plugins/vulkan/gpu.h"

namespace vks::vulkan {

inline constexpr const char* kMatrixExtension = "VK_KHR_cooperative_matrix";
inline constexpr const char* kFloat8Extension = "VK_EXT_shader_float8";

enum class Factor { kHalf, kFloat8 };  // what is multiplied: f16 or e4m3

// The shape that suits shaders/lib/matrix.glsl best; none if the device lacks one or anything else that takes. For
// devices with the extension, or both.
MatrixShape find_matrices(const Gpu& gpu, Factor factor);

// The features to create a device with, so that shaders may use matrices.
struct MatrixFeatures {
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroups{};
#ifdef VK_KHR_cooperative_matrix
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices{};
#endif
#ifdef VK_EXT_shader_float8
    VkPhysicalDeviceShaderFloat8FeaturesEXT float8{};
#endif
    // Fills these for what caps has and gives the first; null for none. Points into this object.
    void* chain(const Caps& caps);
};

}  // namespace vks::vulkan
