#include "plugins/vulkan/matrices.h"

#include <algorithm>
#include <bit>
#include <vector>

namespace vks::vulkan {

#ifdef VK_KHR_cooperative_matrix
namespace {

#ifdef VK_EXT_shader_float8
constexpr VkComponentTypeKHR kE4m3 = VK_COMPONENT_TYPE_FLOAT8_E4M3_EXT;

bool has_float8(const Gpu& gpu) {
    auto float8 = described<VkPhysicalDeviceShaderFloat8FeaturesEXT>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT8_FEATURES_EXT);
    auto all = described<VkPhysicalDeviceFeatures2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &float8);
    vkGetPhysicalDeviceFeatures2(gpu.handle, &all);
    return float8.shaderFloat8 && float8.shaderFloat8CooperativeMatrix;
}
#else
constexpr VkComponentTypeKHR kE4m3 = VK_COMPONENT_TYPE_MAX_ENUM_KHR;  // nobody's

bool has_float8(const Gpu&) {
    return false;
}
#endif

// Tiles are 32 matrix rows or columns at least, and steps along k 32 elements.
bool fits(const VkCooperativeMatrixPropertiesKHR& p, VkComponentTypeKHR type) {
    const auto divides = [](uint32_t n) { return std::has_single_bit(n) && n <= 32; };
    return p.AType == type && p.BType == type && p.CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           p.ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && p.scope == VK_SCOPE_SUBGROUP_KHR && divides(p.MSize) &&
           divides(p.NSize) && divides(p.KSize) && p.NSize >= 2;
}

// A shape of nothing but the number of invocations in a subgroup, of which shaders have to be sure; 0: can't be.
MatrixShape with_subgroup(const Gpu& gpu) {
    auto control = described<VkPhysicalDeviceSubgroupSizeControlProperties>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES);
    auto properties = described<VkPhysicalDeviceProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &control);
    vkGetPhysicalDeviceProperties2(gpu.handle, &properties);
    auto features = described<VkPhysicalDeviceSubgroupSizeControlFeatures>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES);
    auto all = described<VkPhysicalDeviceFeatures2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features);
    vkGetPhysicalDeviceFeatures2(gpu.handle, &all);
    MatrixShape shape;
    shape.ask = control.minSubgroupSize != control.maxSubgroupSize;
    const bool told = features.subgroupSizeControl && features.computeFullSubgroups &&
                      (control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
    // Where there is a choice, 32: what AMD's matrices are made for.
    if (told || !shape.ask)
        shape.subgroup = std::clamp(32u, control.minSubgroupSize, std::min(control.maxSubgroupSize, gpu.caps.subgroup));
    return shape;
}

}  // namespace

MatrixShape find_matrices(const Gpu& gpu, Factor factor) {
    const VkComponentTypeKHR type = factor == Factor::kHalf ? VK_COMPONENT_TYPE_FLOAT16_KHR : kE4m3;
    if (factor == Factor::kFloat8 && !has_float8(gpu)) return {};
    if (gpu.properties.apiVersion < VK_API_VERSION_1_3 || !gpu.caps.subgroup_arithmetic || !gpu.caps.float16) return {};
    // lavapipe 26.1 offers 8x8x8 with subgroups of 16, too, and crashes when it compiles them.
    if (gpu.caps.software && gpu.caps.subgroup > 8) return {};
    auto features = described<VkPhysicalDeviceCooperativeMatrixFeaturesKHR>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR);
    auto memory_model = described<VkPhysicalDeviceVulkanMemoryModelFeatures>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES, &features);
    auto all = described<VkPhysicalDeviceFeatures2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &memory_model);
    vkGetPhysicalDeviceFeatures2(gpu.handle, &all);
    const auto list = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
        vkGetInstanceProcAddr(volkGetLoadedInstance(), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
    MatrixShape best = with_subgroup(gpu);
    const bool scopes = memory_model.vulkanMemoryModel && memory_model.vulkanMemoryModelDeviceScope;  // atomics have it
    if (!features.cooperativeMatrix || !scopes || !list || best.subgroup == 0) return {};
    uint32_t count = 0;
    vk_check(list(gpu.handle, &count, nullptr), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    std::vector<VkCooperativeMatrixPropertiesKHR> found(
        count, described<VkCooperativeMatrixPropertiesKHR>(VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR));
    vk_check(list(gpu.handle, &count, found.data()), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    for (const VkCooperativeMatrixPropertiesKHR& p : found)
        if (fits(p, type) && p.MSize * p.NSize * p.KSize > best.m * best.n * best.k)
            best = {p.MSize, p.NSize, p.KSize, best.subgroup, best.ask};
    return best;
}

void* MatrixFeatures::chain(const Caps& caps) {
    if (!caps.matrix) return nullptr;
    matrices.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
    matrices.cooperativeMatrix = VK_TRUE;
    if (caps.matrix.ask) {
        subgroups.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
        subgroups.subgroupSizeControl = subgroups.computeFullSubgroups = VK_TRUE;
        matrices.pNext = &subgroups;
    }
#ifdef VK_EXT_shader_float8
    if (caps.matrix8) {
        float8.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT8_FEATURES_EXT;
        float8.shaderFloat8 = float8.shaderFloat8CooperativeMatrix = VK_TRUE;
        float8.pNext = &matrices;
        return &float8;
    }
#endif
    return &matrices;
}
#else
MatrixShape find_matrices(const Gpu&, Factor) {
    return {};
}

void* MatrixFeatures::chain(const Caps&) {
    return nullptr;
}
#endif

}  // namespace vks::vulkan
