#include "plugins/vulkan/choose.h"

namespace vks::vulkan {
namespace {

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
constexpr VkMemoryPropertyFlags kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
// Memory for other purposes: unreadable, without bytes behind it, or not kept in caches.
constexpr VkMemoryPropertyFlags kOther = VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                                         VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
                                         VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;

}  // namespace

// A discrete card's window into its memory is slow to read, and so is memory that the host doesn't cache: there,
// transfers go through staging memory, and the device's own isn't mapped.
std::vector<MemoryType> choose_memory(const VkPhysicalDeviceMemoryProperties& types, VkPhysicalDeviceType device,
                                      uint32_t allowed, Memory kind) {
    const auto first = [&](VkMemoryPropertyFlags wanted, bool mapped) -> std::vector<MemoryType> {
        for (uint32_t i = 0; i < types.memoryTypeCount; ++i) {
            const VkMemoryPropertyFlags flags = types.memoryTypes[i].propertyFlags;
            if ((allowed & 1u << i) && !(flags & kOther) && (flags & wanted) == wanted) return {{i, mapped}};
        }
        return {};
    };
    std::vector<MemoryType> found;
    if (kind == Memory::kHost) {
        found = first(kVisible | kCached, true);
        return found.empty() ? first(kVisible, true) : found;
    }
    if (device != VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU) found = first(kLocal | kVisible | kCached, true);
    if (found.empty()) found = first(kLocal, false);
    return found.empty() ? first(0, false) : found;
}

std::optional<uint32_t> choose_queue_family(std::span<const VkQueueFamilyProperties> families) {
    std::optional<uint32_t> found;
    for (uint32_t i = 0; i < families.size(); ++i) {
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0) continue;
        if (!(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) return i;
        if (!found) found = i;
    }
    return found;
}

bool reads_mapped_files(VkDriverId driver) {
    return driver == VK_DRIVER_ID_MESA_LLVMPIPE;
}

}  // namespace vks::vulkan
