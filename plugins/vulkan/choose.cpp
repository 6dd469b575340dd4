#include "plugins/vulkan/choose.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace vks::vulkan {
namespace {

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
constexpr VkMemoryPropertyFlags kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
constexpr uint64_t kMiB = uint64_t{1} << 20;

// Memory for other purposes: unreadable, without bytes behind it, or not kept in caches.
constexpr VkMemoryPropertyFlags kOther = VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                                         VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
                                         VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;

}  // namespace

// A discrete card's window into its memory is slow to read, and so is memory that the host doesn't cache: there,
// transfers go through staging memory, and the device's own isn't mapped. Elsewhere all heaps are the same memory,
// however the driver divides it (RADV: two thirds the device's, one third not).
std::vector<MemoryType> choose_memory(const VkPhysicalDeviceMemoryProperties& types, VkPhysicalDeviceType device,
                                      uint32_t allowed, Memory kind) {
    const bool discrete = device == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    std::vector<MemoryType> found;
    const auto add = [&](VkMemoryPropertyFlags wanted, bool mapped) {
        for (uint32_t i = 0; i < types.memoryTypeCount; ++i) {
            const auto [flags, heap] = types.memoryTypes[i];
            if (!(allowed & 1u << i) || (flags & kOther) || (flags & wanted) != wanted) continue;
            if (std::none_of(found.begin(), found.end(), [&, same = heap](const MemoryType& t) {
                    return types.memoryTypes[t.index].heapIndex == same;
                }))
                found.push_back({i, mapped});
        }
    };
    if (kind == Memory::kHost) {
        add(kVisible | kCached, true);
        add(kVisible, true);
    } else {
        if (!discrete) add(kLocal | kVisible | kCached, true);
        add(kLocal, false);
        if (!discrete) add(kVisible | kCached, true);
        if (!discrete || found.empty()) add(0, false);
    }
    if (discrete && found.size() > 1) found.resize(1);
    return found;
}

// Staging memory is large and short-lived: not for sharing.
Share choose_share(uint64_t bytes, Memory kind) {
    if (bytes < 8 * kMiB) return Share::kSmall;
    return bytes <= 64 * kMiB && kind == Memory::kDevice ? Share::kMiddle : Share::kNone;
}

// A model's experts are tens of thousands of tensors of some MiB each, and drivers allow as few as 4096 allocations.
// What the last block leaves empty is a quarter of the others at most, or a sixteenth of the heap.
uint64_t choose_block(uint64_t bytes, Memory kind, uint64_t held, uint64_t heap, uint64_t largest) {
    const Share share = choose_share(bytes, kind);
    if (share == Share::kSmall) return 64 * kMiB;
    if (share == Share::kNone) return bytes;
    uint64_t block = std::clamp(held / 4, 256 * kMiB, 1024 * kMiB);
    block = std::min(block, heap / 16);
    if (largest != 0) block = std::min(block, largest);
    return std::max(bytes, block / kMiB * kMiB);
}

// Where memory ends, ranges of some MiB get blocks of their own, which leave nothing empty. Small ones go on sharing,
// in blocks half as large each time: there are thousands of them, and whatever a block leaves empty the next ones fill.
std::vector<BlockWay> choose_ways(uint64_t bytes, Memory kind, uint64_t held, std::span<const MemoryType> types,
                                  const VkPhysicalDeviceMemoryProperties& properties, uint64_t largest) {
    const bool halves = choose_share(bytes, kind) == Share::kSmall;
    std::vector<BlockWay> ways;
    for (const MemoryType& type : types) {
        const uint64_t heap = properties.memoryHeaps[properties.memoryTypes[type.index].heapIndex].size;
        uint64_t block = choose_block(bytes, kind, held, heap, largest);
        ways.push_back({type, block});
        while (halves && block / 2 >= std::max(bytes, kMiB)) ways.push_back({type, block /= 2});
        if (block != bytes) ways.push_back({type, bytes});
    }
    return ways;
}

// All that says something: RADV's own identities are a place on the bus and a constant.
std::array<uint8_t, VK_UUID_SIZE> identity(const VkPhysicalDeviceProperties& device,
                                           const VkPhysicalDeviceVulkan11Properties& ids) {
    std::array<uint8_t, VK_UUID_SIZE> found{};
    for (size_t half = 0; half < 2; ++half) {
        uint64_t sum = 0xcbf29ce484222325 + half;
        const auto add = [&](const auto& bytes) {
            for (const uint8_t byte : bytes) sum = (sum ^ byte) * 0x100000001b3;
        };
        add(ids.deviceUUID);
        add(ids.driverUUID);
        add(device.pipelineCacheUUID);
        for (const uint32_t number : {device.vendorID, device.deviceID, device.driverVersion})
            add(std::bit_cast<std::array<uint8_t, sizeof number>>(number));
        std::memcpy(&found[half * sizeof sum], &sum, sizeof sum);
    }
    return found;
}

int rank(VkPhysicalDeviceType type) {
    switch (type) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
            return 0;
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
            return 1;
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
            return 2;
        case VK_PHYSICAL_DEVICE_TYPE_CPU:
            return 4;
        default:
            return 3;
    }
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
