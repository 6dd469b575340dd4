// What is taken of what a device lists. Asks no driver, so that a test can show it the lists of other machines.
#pragma once
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "plugins/vulkan/vk.h"

namespace vks::vulkan {

enum class Memory { kDevice, kHost };  // the device's own, or the host's for transfers

struct MemoryType {
    uint32_t index = 0;
    bool mapped = false;  // the host gets to see it
    bool operator==(const MemoryType&) const = default;
};

// The types to allocate for that purpose, one of a heap: the next where the one before is full. Host memory is always
// mapped. None: the device has no such memory. `allowed`: bit i, type i may hold what is wanted
// (VkMemoryRequirements::memoryTypeBits).
std::vector<MemoryType> choose_memory(const VkPhysicalDeviceMemoryProperties& types, VkPhysicalDeviceType device,
                                      uint32_t allowed, Memory kind);

// Ranges of so many bytes share blocks with each other.
enum class Share { kSmall, kMiddle, kNone };
Share choose_share(uint64_t bytes, Memory kind);

// Bytes of a new block for a range of `bytes`. `held`: in blocks of that kind already; `heap`: in all; `largest`: what
// the driver allows an allocation, 0 if it doesn't say.
uint64_t choose_block(uint64_t bytes, Memory kind, uint64_t held, uint64_t heap, uint64_t largest);

struct BlockWay {
    MemoryType type;
    uint64_t bytes = 0;
    bool operator==(const BlockWay&) const = default;
};

// Blocks to try for a range of `bytes`, one after the other until the driver has the memory: of the first of `types`
// first, and of each last such a one as the range alone needs. `held` and `largest` as for choose_block().
std::vector<BlockWay> choose_ways(uint64_t bytes, Memory kind, uint64_t held, std::span<const MemoryType> types,
                                  const VkPhysicalDeviceMemoryProperties& properties, uint64_t largest);

// What a device and its driver are known by: what was compiled or measured for others isn't theirs.
std::array<uint8_t, VK_UUID_SIZE> identity(const VkPhysicalDeviceProperties& device,
                                           const VkPhysicalDeviceVulkan11Properties& ids);

// How early a device of that type comes among all: those with memory of their own before the processor's, what computes
// on the CPU last.
int rank(VkPhysicalDeviceType type);

// A family that computes; rather one that doesn't draw as well, which the desktop doesn't share. None: no such family.
std::optional<uint32_t> choose_queue_family(std::span<const VkQueueFamilyProperties> families);

// Whether the driver is known to read files where they are mapped read-only, to the last byte. Linux's kernel drivers
// for GPUs take host memory for writing: amdgpu refuses such a mapping, i915 loses the device once work refers to it.
bool reads_mapped_files(VkDriverId driver);

}  // namespace vks::vulkan
