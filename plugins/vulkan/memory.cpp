#include "plugins/vulkan/memory.h"

#include <unistd.h>

#include <algorithm>
#include <bit>

namespace vks::vulkan {

struct Block {
    VkDeviceMemory memory = VK_NULL_HANDLE;
    VkBuffer buffer = VK_NULL_HANDLE;
    std::byte* mapped = nullptr;
    uint64_t address = 0, bytes = 0;
    Memory kind = Memory::kDevice;
    Share share = Share::kNone;
    bool imported = false;
    std::map<uint64_t, uint64_t> free;  // offset → bytes; neighbours are merged
};

namespace {

constexpr uint64_t kImportFrom = uint64_t{256} << 10;  // an import is a block of its own: smaller ones are copied
constexpr auto kHostMemory = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;

constexpr VkMemoryPropertyFlags kVisible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

constexpr uint32_t kNoType = UINT32_MAX;

VkPhysicalDeviceMemoryProperties memory_types(VkPhysicalDevice device) {
    VkPhysicalDeviceMemoryProperties types{};
    vkGetPhysicalDeviceMemoryProperties(device, &types);
    return types;
}

}  // namespace

Heap::Heap(const Gpu& gpu, VkDevice device, const VolkDeviceTable& vk)
    : gpu_(gpu),
      device_(device),
      vk_(vk),
      types_(memory_types(gpu.handle)),
      alignment_(std::max<uint64_t>(64, gpu.caps.offset_alignment)),
      allowed_(allowed_types()),
      device_types_(choose_memory(types_, gpu.properties.deviceType, allowed_, Memory::kDevice)),
      host_types_(choose_memory(types_, gpu.properties.deviceType, allowed_, Memory::kHost)),
      unified_(!device_types_.empty() && device_types_.front().mapped) {}

Heap::~Heap() {
    for (Block& block : blocks_) destroy_block(block);
}

VkBuffer Heap::make_buffer(uint64_t bytes, const void* next) const {
    auto info = described<VkBufferCreateInfo>(VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, next);
    info.size = bytes;
    info.usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    if (gpu_.caps.addresses) info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    VkBuffer buffer = VK_NULL_HANDLE;
    vk_check(vk_.vkCreateBuffer(device_, &info, nullptr, &buffer), "vkCreateBuffer");
    return buffer;
}

// The same for all buffers of one usage, whatever their size.
uint32_t Heap::allowed_types() const {
    VkBuffer buffer = make_buffer(256, nullptr);
    VkMemoryRequirements needed{};
    vk_.vkGetBufferMemoryRequirements(device_, buffer, &needed);
    vk_.vkDestroyBuffer(device_, buffer, nullptr);
    return needed.memoryTypeBits;
}

void Heap::check_budget(uint64_t bytes, uint32_t type) const {
    if (gpu_.caps.max_allocation != 0 && bytes > gpu_.caps.max_allocation) {
        throw Failure(VKS_NO_MEMORY, "memory: wanted " + std::to_string(bytes) +
                                         " bytes in one piece, the driver allows " +
                                         std::to_string(gpu_.caps.max_allocation));
    }
    if (!gpu_.memory_budget) return;
    auto budget = described<VkPhysicalDeviceMemoryBudgetPropertiesEXT>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
    auto memory =
        described<VkPhysicalDeviceMemoryProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, &budget);
    vkGetPhysicalDeviceMemoryProperties2(gpu_.handle, &memory);
    const uint32_t heap = types_.memoryTypes[type].heapIndex;
    const uint64_t limit = budget.heapBudget[heap], used = budget.heapUsage[heap];
    if (used + bytes > limit) {
        throw Failure(VKS_NO_MEMORY, "memory: wanted " + std::to_string(bytes) + " bytes, found " +
                                         std::to_string(limit > used ? limit - used : 0) +
                                         " of the heap's budget free");
    }
}

// host: the block is that memory, and nothing is allocated.
Block& Heap::make_block(uint64_t bytes, MemoryType type, void* host) {
    const uint32_t most = gpu_.properties.limits.maxMemoryAllocationCount;
    if (blocks_.size() >= most)
        throw Failure(VKS_NO_MEMORY, "memory: wanted at most " + std::to_string(most) + " allocations, found more");
    if (!host) check_budget(bytes, type.index);
    Block& block = blocks_.emplace_back();
    block.bytes = bytes;
    try {
        auto external =
            described<VkExternalMemoryBufferCreateInfo>(VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
        external.handleTypes = kHostMemory;
        block.buffer = make_buffer(bytes, host ? &external : nullptr);
        VkMemoryRequirements needed{};
        vk_.vkGetBufferMemoryRequirements(device_, block.buffer, &needed);
        if (!(needed.memoryTypeBits & 1u << type.index))
            throw Failure(VKS_UNSUPPORTED, "memory: this type holds no storage buffers");
        auto flags = described<VkMemoryAllocateFlagsInfo>(VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO);
        flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
        auto import = described<VkImportMemoryHostPointerInfoEXT>(VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
                                                                  gpu_.caps.addresses ? &flags : nullptr);
        import.handleType = kHostMemory;
        import.pHostPointer = host;
        auto allocate = described<VkMemoryAllocateInfo>(VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                                        host ? static_cast<const void*>(&import) : import.pNext);
        allocate.allocationSize = host ? bytes : needed.size;
        allocate.memoryTypeIndex = type.index;
        vk_check(vk_.vkAllocateMemory(device_, &allocate, nullptr, &block.memory), "vkAllocateMemory");
        ++allocations_;
        vk_check(vk_.vkBindBufferMemory(device_, block.buffer, block.memory, 0), "vkBindBufferMemory");
        if (host) {
            block.mapped = static_cast<std::byte*>(host);
        } else if (type.mapped) {
            void* mapped = nullptr;
            vk_check(vk_.vkMapMemory(device_, block.memory, 0, VK_WHOLE_SIZE, 0, &mapped), "vkMapMemory");
            block.mapped = static_cast<std::byte*>(mapped);
        }
        if (gpu_.caps.addresses) {
            const VkBufferDeviceAddressInfo address{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, nullptr,
                                                    block.buffer};
            block.address = vk_.vkGetBufferDeviceAddress(device_, &address);
        }
    } catch (...) {
        destroy_block(block);
        blocks_.pop_back();
        throw;
    }
    block.free[0] = bytes;
    return block;
}

// In the first heap that has room; where a block to be shared has none, a smaller one may.
Block& Heap::make_block_for(uint64_t bytes, Memory kind) {
    const std::vector<MemoryType>& types = kind == Memory::kDevice ? device_types_ : host_types_;
    if (types.empty()) throw Failure(VKS_UNSUPPORTED, "memory: wanted a type that the host can see, found none");
    uint64_t held = 0;
    for (const Block& block : blocks_) held += block.kind == kind && !block.imported ? block.bytes : 0;
    const auto ways = choose_ways(bytes, kind, held, types, types_, gpu_.caps.max_allocation);
    for (size_t i = 0;; ++i) {
        try {
            Block& made = make_block(ways[i].bytes, ways[i].type);
            made.kind = kind;
            made.share = choose_share(bytes, kind);
            return made;
        } catch (const Failure& failure) {
            if (failure.status != VKS_NO_MEMORY || i + 1 == ways.size()) throw;
        }
    }
}

void Heap::destroy_block(Block& block) {
    vk_.vkDestroyBuffer(device_, block.buffer, nullptr);
    vk_.vkFreeMemory(device_, block.memory, nullptr);  // unmaps it, too
}

bool Heap::take(Block& block, uint64_t bytes, Range& range) const {
    for (auto it = block.free.begin(); it != block.free.end(); ++it) {
        const auto [offset, length] = *it;
        if (length < bytes) continue;
        block.free.erase(it);
        if (length > bytes) block.free[offset + bytes] = length - bytes;
        range = {&block,
                 block.buffer,
                 offset,
                 bytes,
                 block.mapped ? block.mapped + offset : nullptr,
                 block.address ? block.address + offset : 0};
        return true;
    }
    return false;
}

// A type for such memory that needs no flushing; kNoType if there is none.
uint32_t Heap::import_type(void* host) const {
    auto found = described<VkMemoryHostPointerPropertiesEXT>(VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT);
    if (vk_.vkGetMemoryHostPointerPropertiesEXT(device_, kHostMemory, host, &found) != VK_SUCCESS) return kNoType;
    for (uint32_t i = 0; i < types_.memoryTypeCount; ++i)
        if ((found.memoryTypeBits & 1u << i) && (types_.memoryTypes[i].propertyFlags & kVisible) == kVisible) return i;
    return kNoType;
}

Range Heap::import(void* host, uint64_t bytes) {
    const auto refuse = [](const char* why) { throw Failure(VKS_UNSUPPORTED, std::string("import: ") + why); };
    const uint64_t page = gpu_.import_alignment, own = uint64_t(sysconf(_SC_PAGESIZE));
    // The whole pages at both ends are taken along: there is nothing to read beyond the last page of a mapping.
    if (page == 0 || !unified_ || page > own) refuse("the device doesn't use host memory where it lies");
    const uint64_t inside = uint64_t(reinterpret_cast<uintptr_t>(host)) % page;
    if (inside % gpu_.caps.offset_alignment != 0) refuse("not at an offset that the device takes");
    const uint64_t whole = (inside + bytes + page - 1) / page * page;
    if (bytes < kImportFrom) refuse("small");
    if (gpu_.caps.max_allocation != 0 && whole > gpu_.caps.max_allocation) refuse("too large");
    const std::lock_guard lock(mutex_);
    if (blocks_.size() >= gpu_.properties.limits.maxMemoryAllocationCount / 2) refuse("too many pieces of memory");
    auto* begin = static_cast<std::byte*>(host) - inside;
    const uint32_t type = import_type(begin);
    if (type == kNoType) refuse("no type of memory for it");
    try {
        Block& block = make_block(whole, {type, true}, begin);
        block.imported = true;
        block.free.clear();
        return {&block, block.buffer, inside, bytes, block.mapped + inside, block.address ? block.address + inside : 0};
    } catch (const Failure& failure) {  // as amdgpu does with files that can't be written
        if (failure.status == VKS_DEVICE_LOST) throw;
        throw Failure(VKS_UNSUPPORTED, std::string("import: ") + failure.what());
    }
}

Range Heap::allocate(uint64_t bytes, Memory kind) {
    if (bytes > uint64_t{1} << 60) throw Failure(VKS_NO_MEMORY, "memory: wanted " + std::to_string(bytes) + " bytes");
    bytes = std::max<uint64_t>(1, (bytes + alignment_ - 1) / alignment_) * alignment_;
    const std::lock_guard lock(mutex_);
    const Share share = choose_share(bytes, kind);
    Range range;
    if (share != Share::kNone) {
        for (Block& block : blocks_)
            if (block.kind == kind && block.share == share && take(block, bytes, range)) return range;
    }
    Block& block = make_block_for(bytes, kind);
    take(block, bytes, range);
    return range;
}

void Heap::release(const Range& range) {
    const std::lock_guard lock(mutex_);
    if (range.block->imported) {
        destroy_block(*range.block);
        blocks_.remove_if([&](const Block& b) { return &b == range.block; });
        return;
    }
    std::map<uint64_t, uint64_t>& free = range.block->free;
    auto it = free.emplace(range.offset, range.bytes).first;
    if (const auto after = std::next(it); after != free.end() && it->first + it->second == after->first) {
        it->second += after->second;
        free.erase(after);
    }
    if (it != free.begin()) {
        if (const auto before = std::prev(it); before->first + before->second == it->first) {
            before->second += it->second;
            free.erase(it);
        }
    }
    if (free.begin()->second != range.block->bytes) return;
    destroy_block(*range.block);
    blocks_.remove_if([&](const Block& b) { return &b == range.block; });
}

}  // namespace vks::vulkan
