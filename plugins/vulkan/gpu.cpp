#include "plugins/vulkan/gpu.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <vector>

#include "plugins/vulkan/choose.h"
#include "plugins/vulkan/matrices.h"

namespace vks::vulkan {
namespace {

struct Machine {
    std::vector<Gpu> gpus;
    std::string reason;
};

bool has_extension(VkPhysicalDevice device, const char* name) {
    uint32_t count = 0;
    vk_check(vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr),
             "vkEnumerateDeviceExtensionProperties");
    std::vector<VkExtensionProperties> all(count);
    vk_check(vkEnumerateDeviceExtensionProperties(device, nullptr, &count, all.data()),
             "vkEnumerateDeviceExtensionProperties");
    return std::any_of(all.begin(), all.end(),
                       [&](const VkExtensionProperties& e) { return std::strcmp(e.extensionName, name) == 0; });
}

// Kernel drivers end what the queue is at for longer than some seconds, two with new ones: a submission is to stay
// below on slow devices of the kind. What runs on the CPU has no such limit.
uint64_t submission_of(VkPhysicalDeviceType type) {
    constexpr uint64_t kBillion = 1'000'000'000;
    if (type == VK_PHYSICAL_DEVICE_TYPE_CPU) return 0;
    return (type == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU ? 200 : 100) * kBillion;
}

// The features and properties that decide what a device can do.
void ask(Gpu& gpu) {
    auto properties12 =
        described<VkPhysicalDeviceVulkan12Properties>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES);
    auto properties11 = described<VkPhysicalDeviceVulkan11Properties>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, &properties12);
    auto dot = described<VkPhysicalDeviceShaderIntegerDotProductProperties>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES);
    const bool is13 = gpu.properties.apiVersion >= VK_API_VERSION_1_3;
    if (is13) properties12.pNext = &dot;
    auto properties =
        described<VkPhysicalDeviceProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &properties11);
    vkGetPhysicalDeviceProperties2(gpu.handle, &properties);

    auto features12 =
        described<VkPhysicalDeviceVulkan12Features>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES);
    auto features11 =
        described<VkPhysicalDeviceVulkan11Features>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, &features12);
    auto features = described<VkPhysicalDeviceFeatures2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features11);
    vkGetPhysicalDeviceFeatures2(gpu.handle, &features);

    gpu.driver_id = properties12.driverID;
    gpu.driver = properties12.driverName;
    if (properties12.driverInfo[0]) gpu.driver += std::string(", ") + properties12.driverInfo;
    gpu.uuid = identity(gpu.properties, properties11);
    if (!features12.timelineSemaphore) gpu.unusable = "no timeline semaphores";

    const VkPhysicalDeviceLimits& limits = gpu.properties.limits;
    Caps& caps = gpu.caps;
    caps.subgroup = std::max(1u, properties11.subgroupSize);
    const VkSubgroupFeatureFlags wanted =
        VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT;
    caps.subgroup_arithmetic = (properties11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                               (properties11.subgroupSupportedOperations & wanted) == wanted;
    caps.float16 = features12.shaderFloat16;
    caps.storage16 = features11.storageBuffer16BitAccess;
    caps.storage8 = features12.storageBuffer8BitAccess;
    caps.int64 = features.features.shaderInt64;
    caps.addresses = features12.bufferDeviceAddress;
    caps.integer_dot = is13 && dot.integerDotProduct4x8BitPackedSignedAccelerated;
    caps.discrete = gpu.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    caps.software = gpu.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    caps.max_invocations = std::min(limits.maxComputeWorkGroupInvocations, limits.maxComputeWorkGroupSize[0]);
    caps.shared_bytes = limits.maxComputeSharedMemorySize;
    caps.max_groups = std::min(
        {limits.maxComputeWorkGroupCount[0], limits.maxComputeWorkGroupCount[1], limits.maxComputeWorkGroupCount[2]});
    caps.offset_alignment = uint32_t(std::max<VkDeviceSize>(16, limits.minStorageBufferOffsetAlignment));
    caps.max_buffers = std::min({limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers,
                                 limits.maxPerStageResources});
    caps.max_binding = limits.maxStorageBufferRange;
    caps.max_allocation = properties11.maxMemoryAllocationSize;
    caps.submission = submission_of(gpu.properties.deviceType);
}

uint64_t import_alignment(VkPhysicalDevice handle) {
    if (!has_extension(handle, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME)) return 0;
    auto host = described<VkPhysicalDeviceExternalMemoryHostPropertiesEXT>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT);
    auto properties = described<VkPhysicalDeviceProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &host);
    vkGetPhysicalDeviceProperties2(handle, &properties);
    return host.minImportedHostPointerAlignment;
}

// The extension by which the device's clock and the host's CLOCK_MONOTONIC can be read at once, under either name.
const char* calibrated_clock(VkPhysicalDevice handle) {
    for (const char* name : {"VK_KHR_calibrated_timestamps", "VK_EXT_calibrated_timestamps"}) {
        const std::string entry =
            std::string("vkGetPhysicalDeviceCalibrateableTimeDomains") + (std::strstr(name, "KHR") ? "KHR" : "EXT");
        const auto domains = reinterpret_cast<PFN_vkGetPhysicalDeviceCalibrateableTimeDomainsEXT>(
            vkGetInstanceProcAddr(volkGetLoadedInstance(), entry.c_str()));
        if (!domains || !has_extension(handle, name)) continue;
        uint32_t count = 0;
        if (domains(handle, &count, nullptr) != VK_SUCCESS) continue;
        std::vector<VkTimeDomainEXT> all(count);
        if (domains(handle, &count, all.data()) != VK_SUCCESS) continue;
        const auto has = [&](VkTimeDomainEXT d) { return std::find(all.begin(), all.end(), d) != all.end(); };
        if (has(VK_TIME_DOMAIN_DEVICE_EXT) && has(VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT)) return name;
    }
    return nullptr;
}

void examine(Gpu& gpu) {
    VkPhysicalDevice handle = gpu.handle;
    if (gpu.properties.apiVersion < VK_API_VERSION_1_2) {
        gpu.unusable = "wanted Vulkan 1.2, found " + std::to_string(VK_API_VERSION_MAJOR(gpu.properties.apiVersion)) +
                       "." + std::to_string(VK_API_VERSION_MINOR(gpu.properties.apiVersion));
        return;
    }
    ask(gpu);
    uint32_t count = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, families.data());
    if (const auto family = choose_queue_family(families)) {
        gpu.queue_family = *family;
        gpu.timestamp_bits = families[*family].timestampValidBits;
    } else {
        gpu.unusable = "no compute queue";
    }
    gpu.calibrated_clock = calibrated_clock(handle);
    gpu.memory_budget = has_extension(handle, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    gpu.import_alignment = import_alignment(handle);
    if (has_extension(handle, kMatrixExtension)) gpu.caps.matrix = find_matrices(gpu, Factor::kHalf);
    if (gpu.caps.matrix && has_extension(handle, kFloat8Extension))
        gpu.caps.matrix8 = find_matrices(gpu, Factor::kFloat8);
    gpu.portability = has_extension(handle, "VK_KHR_portability_subset");
    gpu.pipeline_statistics = has_extension(handle, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
}

// A device that fails to answer leaves the others as they are.
Gpu examined(VkPhysicalDevice handle) {
    Gpu gpu;
    gpu.handle = handle;
    vkGetPhysicalDeviceProperties(handle, &gpu.properties);
    try {
        examine(gpu);
    } catch (const std::exception& e) {
        gpu.unusable = e.what();
    }
    return gpu;
}

// The instance is never destroyed: threads of drivers may outlive whatever closes last.
Machine look() {
    Machine machine;
    if (volkInitialize() != VK_SUCCESS) {
        machine.reason = "no Vulkan loader (libvulkan.so.1)";
        return machine;
    }
    if (volkGetInstanceVersion() < VK_API_VERSION_1_2) {
        machine.reason = "the Vulkan loader: wanted version 1.2 or newer";
        return machine;
    }
    const VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                        nullptr,
                                        "vkseek",
                                        0,
                                        "vkseek",
                                        0,
                                        std::min(VK_API_VERSION_1_3, volkGetInstanceVersion())};
    const VkInstanceCreateInfo info{
        VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, nullptr, 0, &application, 0, nullptr, 0, nullptr};
    VkInstance instance = VK_NULL_HANDLE;
    const VkResult created = vkCreateInstance(&info, nullptr, &instance);
    if (created != VK_SUCCESS) {
        machine.reason = std::string("no Vulkan driver (vkCreateInstance: ") + result_name(created) + ")";
        return machine;
    }
    volkLoadInstanceOnly(instance);
    uint32_t count = 0;
    if (vkEnumeratePhysicalDevices(instance, &count, nullptr) != VK_SUCCESS) count = 0;
    std::vector<VkPhysicalDevice> handles(count);
    if (count > 0) vk_check(vkEnumeratePhysicalDevices(instance, &count, handles.data()), "vkEnumeratePhysicalDevices");
    for (VkPhysicalDevice handle : handles) machine.gpus.push_back(examined(handle));
    // Mesa's layer for choosing devices has the GPU first that the firmware shows its messages on: a laptop's
    // integrated.
    std::ranges::stable_sort(machine.gpus, {}, [](const Gpu& gpu) { return rank(gpu.properties.deviceType); });
    if (machine.gpus.empty()) machine.reason = "no Vulkan device";
    return machine;
}

const char* type_name(VkPhysicalDeviceType type) {
    switch (type) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
            return "discrete GPU";
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
            return "integrated GPU";
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
            return "virtual GPU";
        case VK_PHYSICAL_DEVICE_TYPE_CPU:
            return "software";
        default:
            return "other";
    }
}

// What Heap allocates the device's memory from.
void describe_memory(const Gpu& gpu, vks_info& info) {
    auto budget = described<VkPhysicalDeviceMemoryBudgetPropertiesEXT>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
    auto memory = described<VkPhysicalDeviceMemoryProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2);
    if (gpu.memory_budget) memory.pNext = &budget;
    vkGetPhysicalDeviceMemoryProperties2(gpu.handle, &memory);
    for (const MemoryType& type :
         choose_memory(memory.memoryProperties, gpu.properties.deviceType, UINT32_MAX, Memory::kDevice)) {
        const uint32_t i = memory.memoryProperties.memoryTypes[type.index].heapIndex;
        const VkDeviceSize size = memory.memoryProperties.memoryHeaps[i].size;
        const VkDeviceSize used = gpu.memory_budget ? budget.heapUsage[i] : 0;
        const VkDeviceSize limit = gpu.memory_budget ? budget.heapBudget[i] : size;
        info.bytes_total += size;
        info.bytes_free += limit > used ? limit - used : 0;
    }
}

}  // namespace

int Caps::tier() const {
    if (!subgroup_arithmetic || !float16 || !storage16) return 0;
    if (!integer_dot) return 1;
    return !matrix ? 2 : !matrix8 ? 3 : 4;
}

std::span<const Gpu> gpus(std::string& reason) {
    static const Machine* const machine = new Machine(look());
    reason = machine->reason;
    return machine->gpus;
}

void describe(const Gpu& gpu, vks_info* out) {
    vks_info full{};
    full.size = out->size;
    const Caps& caps = gpu.caps;
    std::snprintf(full.name, sizeof full.name, "%.127s", gpu.properties.deviceName);
    if (!gpu.unusable.empty()) {
        std::snprintf(full.detail, sizeof full.detail, "%s", gpu.unusable.c_str());
        full.flags |= VKS_DEVICE_UNUSABLE;
    } else {
        std::snprintf(
            full.detail, sizeof full.detail, "%s, %s, Vulkan %u.%u, tier %d, subgroup %u%s%s%s%s%s%s",
            gpu.driver.c_str(), type_name(gpu.properties.deviceType), VK_API_VERSION_MAJOR(gpu.properties.apiVersion),
            VK_API_VERSION_MINOR(gpu.properties.apiVersion), caps.tier(), caps.subgroup, caps.float16 ? ", fp16" : "",
            caps.storage16 ? ", 16-bit storage" : "", caps.storage8 ? ", 8-bit storage" : "",
            caps.addresses ? ", addresses" : "", caps.matrix ? (", matrices " + caps.matrix.text()).c_str() : "",
            caps.matrix8 ? (", float8 " + caps.matrix8.text()).c_str() : "");
        describe_memory(gpu, full);
    }
    full.max_buffer = caps.max_allocation;
    full.max_binding = caps.max_binding;
    full.alignment = std::max<uint64_t>(caps.offset_alignment, 64);
    if (caps.software) full.flags |= VKS_DEVICE_SOFTWARE;
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
}

}  // namespace vks::vulkan
