// Device memory in blocks: one VkDeviceMemory and one VkBuffer each, handed out in ranges. Weights are tens of
// thousands, large and long-lived, and drivers allow few allocations (4096 on many), hence an arena and no general
// allocator.
#pragma once
#include <atomic>
#include <list>
#include <map>
#include <mutex>

#include "plugins/vulkan/choose.h"
#include "plugins/vulkan/gpu.h"

namespace vks::vulkan {

struct Block;

// A range of a block, aligned to the device's offset alignment. Owned by whoever allocated it.
struct Range {
    Block* block = nullptr;
    VkBuffer buffer = VK_NULL_HANDLE;
    uint64_t offset = 0, bytes = 0;
    std::byte* mapped = nullptr;  // null unless the host can see it, as it can what is host memory
    uint64_t address = 0;         // on the device; 0 where it has no addresses
};

// Thread-safe.
class Heap {
public:
    Heap(const Gpu& gpu, VkDevice device, const VolkDeviceTable& vk);
    ~Heap();
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    // Throws NO_MEMORY, naming the bytes wanted and free.
    Range allocate(uint64_t bytes, Memory kind);
    // Host memory, page-aligned or not, as the device's own: nothing is copied, nothing may be written. Throws
    // UNSUPPORTED where a copy has to do: on devices with memory of their own, for small or unaligned ranges.
    Range import(void* host, uint64_t bytes);
    void release(const Range& range);

    uint64_t allocations() const { return allocations_; }  // vkAllocateMemory calls so far
    bool unified() const { return unified_; }              // the host sees device memory, cached

private:
    VkBuffer make_buffer(uint64_t bytes, const void* next) const;
    uint32_t allowed_types() const;
    Block& make_block_for(uint64_t bytes, Memory kind);
    Block& make_block(uint64_t bytes, MemoryType type, void* host = nullptr);
    uint32_t import_type(void* host) const;
    void destroy_block(Block& block);
    void check_budget(uint64_t bytes, uint32_t type) const;
    bool take(Block& block, uint64_t bytes, Range& range) const;

    const Gpu& gpu_;
    VkDevice device_;
    const VolkDeviceTable& vk_;
    const VkPhysicalDeviceMemoryProperties types_;
    const uint64_t alignment_;
    const uint32_t allowed_;  // types that may hold buffers like ours, a bit each
    const std::vector<MemoryType> device_types_, host_types_;
    const bool unified_;
    std::atomic<uint64_t> allocations_{0};
    std::mutex mutex_;
    std::list<Block> blocks_;
};

}  // namespace vks::vulkan
