#include "plugins/vulkan/choose.h"

namespace vks::vulkan {
namespace {

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
constexpr VkMemoryPropertyFlags kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

}  // namespace

// A discrete card's window into its memory is slow to read, and so is memory that the host doesn't cache: there,
// transfers go through staging memory, and the device's own isn't mapped.
std::vector<MemoryType> choose_memory(const VkPhysicalDeviceMemoryProperties& types, VkPhysicalDeviceType device,
                                      Memory kind) {
    const auto first = [&](VkMemoryPropertyFlags wanted, bool mapped) -> std::vector<MemoryType> {
        for (uint32_t i = 0; i < types.memoryTypeCount; ++i)
            if ((types.memoryTypes[i].propertyFlags & wanted) == wanted) return {{i, mapped}};
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

}  // namespace vks::vulkan
