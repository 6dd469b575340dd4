#include "plugins/vulkan/recording.h"

#include <algorithm>
#include <utility>

namespace vks::vulkan {
namespace {

// Mistakes of test builds, for validation to find.
#ifdef VKS_PLANT_HAZARD
constexpr bool kPlantHazard = true;
#else
constexpr bool kPlantHazard = false;
#endif
#ifdef VKS_PLANT_BOUNDS
constexpr bool kPlantBounds = true;
#else
constexpr bool kPlantBounds = false;
#endif

// A dispatch before it is a command: `binds` and `push` are ranges of Encoded's lists.
struct Dispatch {
    const Pipeline* pipeline = nullptr;
    size_t first_bind = 0, binds = 0, first_push = 0, push = 0;
    Groups groups;
    const Item* copy = nullptr;  // not a dispatch at all
    bool barrier = false;        // before it
    bool cut = false;            // the first of another submission
};

// Turns work into dispatches and finds where barriers are needed: one wherever something is read or written that was
// written since the last one, or written that was read. Cuts before what would make a submission too long; each begins
// with a barrier.
// NOLINTNEXTLINE(*-virtual-class-destructor): nothing derives from it
class Encoded final : public Encoder {
public:
    Encoded(const vks_device& device, const Work& work) : device_(device), work_(work) {
        for (const Item& item : work.items) {
            item_ = &item;
            if (item.kernel) {
                launch();
            } else {
                copy();
            }
        }
    }

    std::vector<Dispatch> dispatches;
    std::vector<Bind> binds;
    std::vector<std::byte> push;

    const Caps& caps() const override { return device_.caps(); }
    Signature declared() const override {
        const vks_kernel& kernel = *item_->kernel;
        return {kernel.args, kernel.params.data(), kernel.op->params_size};
    }
    Bind arg(size_t index) const override { return bind(work_.places[item_->first_place + index]); }
    Bind scratch(uint64_t from, uint64_t bytes) const override {
        const Place& place = work_.places[item_->first_place + item_->places - 1];
        return {place.handle, place.offset + from, bytes};
    }
    Bind table() const override {
        const Range& table = item_->kernel->table;
        return {table.buffer, table.offset, table.bytes};
    }

private:
    struct Touched {
        VkBuffer buffer;
        uint64_t begin, end;
    };

    static Bind bind(const Place& place) { return {place.handle, place.offset, place.bytes}; }

    void launch() {
        const vks_kernel& kernel = *item_->kernel;
        args_ = kernel.args;
        for (size_t i = 0; i < args_.size(); ++i)
            std::copy_n(work_.places[item_->first_place + i].dim, 4, args_[i].dim);
        kernel.op->encode(*this, {args_, kernel.params.data(), kernel.op->params_size});
    }

    void copy() {
        const Place *from = &work_.places[item_->first_place], *to = from + 1;
        Dispatch d;
        d.copy = item_;
        weigh(d, kOperationsPerByte * from->bytes);
        order(d, {{bind(*from), false}, {bind(*to), true}});
        dispatches.push_back(d);
    }

    void dispatch_bytes(size_t program, std::span<const Bind> given, std::span<const std::byte> constants,
                        Groups groups, uint64_t operations) override {
        if (groups.x == 0 || groups.y == 0 || groups.z == 0) return;
        Dispatch d;
        d.pipeline = item_->kernel->pipelines.at(program);
        const Reflection& shader = d.pipeline->shader->reflection;
        const std::string name = item_->kernel->recipe.programs[program].shader;
        if (given.size() != shader.bindings.size() || constants.size() < shader.push_bytes)
            throw Failure(VKS_INTERNAL, "shader " + name + ": wanted " + std::to_string(shader.bindings.size()) +
                                            " bindings and " + std::to_string(shader.push_bytes) +
                                            " bytes of constants, found " + std::to_string(given.size()) + " and " +
                                            std::to_string(constants.size()));
        if (std::max({groups.x, groups.y, groups.z}) > caps().max_groups)
            throw Failure(VKS_INTERNAL, "shader " + name + ": more groups than the device takes");
        d.first_bind = binds.size();
        d.binds = given.size();
        d.first_push = push.size();
        d.push = shader.push_bytes;
        d.groups = groups;
        std::vector<std::pair<Bind, bool>> uses;
        uint64_t bytes = 0;
        for (size_t i = 0; i < given.size(); ++i) {
            Bind b = given[i];
            if (b.buffer && b.bytes > 0) {
                bytes += b.bytes;
                uses.emplace_back(b, shader.bindings[i].used && !shader.bindings[i].read_only);
            } else {
                b = {device_.dummy.buffer, device_.dummy.offset, device_.dummy.bytes};
            }
            if (b.bytes > caps().max_binding)
                throw Failure(VKS_INTERNAL, "shader " + name + ": binding " + std::to_string(i) + ": wanted at most " +
                                                std::to_string(caps().max_binding) + " bytes, found " +
                                                std::to_string(b.bytes));
            b.bytes = (b.bytes + 15) / 16 * 16;  // whole words and vectors; memory is handed out in larger pieces
            if (kPlantBounds) b.bytes = 16;
            binds.push_back(b);
        }
        read_by_address(uses);
        push.insert(push.end(), constants.begin(), constants.begin() + std::ptrdiff_t(d.push));
        weigh(d, std::max(operations, kOperationsPerByte * bytes));
        order(d, uses);
        dispatches.push_back(d);
    }

    // What a table leads to, which is not bound.
    void read_by_address(std::vector<std::pair<Bind, bool>>& uses) const {
        const vks_kernel& kernel = *item_->kernel;
        if (!kernel.table.block) return;
        const auto [first, last] = kernel.op->table(declared());
        for (size_t i = first; i < last; ++i)
            if (const Bind b = arg(i); b.buffer && b.bytes > 0) uses.emplace_back(b, false);
    }

    void weigh(Dispatch& d, uint64_t operations) {
        const uint64_t limit = caps().submission;
        d.cut = limit > 0 && !dispatches.empty() && operations_ + operations > limit;
        if (d.cut) {
            operations_ = 0;
            writes_.clear();
            reads_.clear();
        }
        operations_ += operations;
    }

    void order(Dispatch& d, const std::vector<std::pair<Bind, bool>>& uses) {
        const auto meets = [](const std::vector<Touched>& all, const Bind& b) {
            return std::any_of(all.begin(), all.end(), [&](const Touched& t) {
                return t.buffer == b.buffer && b.offset < t.end && t.begin < b.offset + b.bytes;
            });
        };
        for (const auto& [b, written] : uses)
            if (meets(writes_, b) || (written && meets(reads_, b))) d.barrier = true;
        if (d.barrier) {
            writes_.clear();
            reads_.clear();
        }
        for (const auto& [b, written] : uses)
            (written ? writes_ : reads_).push_back({b.buffer, b.offset, b.offset + b.bytes});
    }

    const vks_device& device_;
    const Work& work_;
    const Item* item_ = nullptr;
    std::vector<Arg> args_;
    std::vector<Touched> writes_, reads_;
    uint64_t operations_ = 0;  // since the last cut
};

void barrier(const VolkDeviceTable& vk, VkCommandBuffer commands, VkPipelineStageFlags before,
             VkPipelineStageFlags after, VkAccessFlags later) {
    const VkMemoryBarrier memory{VK_STRUCTURE_TYPE_MEMORY_BARRIER, nullptr,
                                 VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, later};
    vk.vkCmdPipelineBarrier(commands, before, after, 0, 1, &memory, 0, nullptr, 0, nullptr);
}

constexpr VkPipelineStageFlags kWorkStages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkAccessFlags kWorkAccess =
    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;

VkDescriptorPool make_pool(vks_device& device, const Encoded& encoded) {
    uint32_t sets = 0;
    for (const Dispatch& d : encoded.dispatches) sets += d.copy ? 0 : 1;
    if (sets == 0) return VK_NULL_HANDLE;
    const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, std::max(1u, uint32_t(encoded.binds.size()))};
    auto info = described<VkDescriptorPoolCreateInfo>(VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO);
    info.maxSets = sets;
    info.poolSizeCount = 1;
    info.pPoolSizes = &size;
    VkDescriptorPool pool = VK_NULL_HANDLE;
    device.check(device.vk.vkCreateDescriptorPool(device.handle, &info, nullptr, &pool), "vkCreateDescriptorPool");
    return pool;
}

VkQueryPool make_times(vks_device& device) {
    auto info = described<VkQueryPoolCreateInfo>(VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO);
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = 2;
    VkQueryPool pool = VK_NULL_HANDLE;
    device.check(device.vk.vkCreateQueryPool(device.handle, &info, nullptr, &pool), "vkCreateQueryPool");
    return pool;
}

VkDescriptorSet make_set(vks_device& device, VkDescriptorPool pool, const Shader& shader, std::span<const Bind> binds) {
    VkDescriptorSetAllocateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, nullptr, pool, 1,
                                     &shader.set_layout};
    VkDescriptorSet set = VK_NULL_HANDLE;
    device.check(device.vk.vkAllocateDescriptorSets(device.handle, &info, &set), "vkAllocateDescriptorSets");
    std::vector<VkDescriptorBufferInfo> buffers;
    std::vector<VkWriteDescriptorSet> writes;
    for (const Bind& b : binds) buffers.push_back({b.buffer, b.offset, b.bytes});
    for (uint32_t i = 0; i < binds.size(); ++i) {
        writes.push_back({VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, nullptr, set, i, 0, 1,
                          VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, nullptr, &buffers[i], nullptr});
    }
    device.vk.vkUpdateDescriptorSets(device.handle, uint32_t(writes.size()), writes.data(), 0, nullptr);
    return set;
}

}  // namespace

Recording::Recording(vks_device& device, VkCommandPool pool, Work work)
    : device_(device), pool_(pool), work_(std::move(work)) {}

// By way of the other, after which the destructor clears up behind whatever throws here.
Recording::Recording(vks_device& device, VkCommandPool pool, Work work, bool timed)
    : Recording(device, pool, std::move(work)) {
    const VolkDeviceTable& vk = device.vk;
    const Encoded encoded(device, work_);
    sets_ = make_pool(device, encoded);
    if (timed) times_ = make_times(device);
    VkCommandBuffer commands = begin();
    if (timed) {
        vk.vkCmdResetQueryPool(commands, times_, 0, 2);
        vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, times_, 0);
    }
    const Pipeline* bound = nullptr;
    for (const Dispatch& d : encoded.dispatches) {
        if (d.cut) {
            device.check(vk.vkEndCommandBuffer(commands), "vkEndCommandBuffer");
            commands = begin();
            bound = nullptr;
        }
        if (d.barrier && !kPlantHazard) {
            barrier(vk, commands, kWorkStages, kWorkStages, kWorkAccess);
            ++barriers_;
        }
        if (d.copy) {
            const Place *from = &work_.places[d.copy->first_place], *to = from + 1;
            std::vector<VkBufferCopy> regions;
            for (size_t i = 0; i < d.copy->regions; ++i) {
                const Region& r = work_.regions[d.copy->first_region + i];
                regions.push_back({from->offset + r.from, to->offset + r.to, r.bytes});
            }
            vk.vkCmdCopyBuffer(commands, from->handle, to->handle, uint32_t(regions.size()), regions.data());
            continue;
        }
        const Shader& shader = *d.pipeline->shader;
        if (bound != d.pipeline)
            vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, d.pipeline->handle.get());
        bound = d.pipeline;
        VkDescriptorSet set = make_set(device, sets_, shader, {&encoded.binds[d.first_bind], d.binds});
        vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, shader.layout, 0, 1, &set, 0, nullptr);
        if (d.push > 0)
            vk.vkCmdPushConstants(commands, shader.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, uint32_t(d.push),
                                  &encoded.push[d.first_push]);
        vk.vkCmdDispatch(commands, d.groups.x, d.groups.y, d.groups.z);
        ++dispatches_;
    }
    if (timed) vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, times_, 1);
    barrier(vk, commands, kWorkStages, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT);
    device.check(vk.vkEndCommandBuffer(commands), "vkEndCommandBuffer");
    ++device.recordings;
    device.dispatches += dispatches_;
    device.barriers += barriers_;
}

VkCommandBuffer Recording::begin() {
    const VkCommandBufferAllocateInfo allocate{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, nullptr, pool_,
                                               VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
    VkCommandBuffer& commands = pieces_.emplace_back(VK_NULL_HANDLE);
    device_.check(device_.vk.vkAllocateCommandBuffers(device_.handle, &allocate, &commands),
                  "vkAllocateCommandBuffers");
    auto info = described<VkCommandBufferBeginInfo>(VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO);
    info.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;
    device_.check(device_.vk.vkBeginCommandBuffer(commands, &info), "vkBeginCommandBuffer");
    barrier(device_.vk, commands, kWorkStages, kWorkStages, kWorkAccess);  // after what this queue did before
    return commands;
}

Recording::~Recording() {
    for (const VkCommandBuffer& commands : pieces_)
        device_.vk.vkFreeCommandBuffers(device_.handle, pool_, 1, &commands);  // null is nothing
    device_.vk.vkDestroyDescriptorPool(device_.handle, sets_, nullptr);
    device_.vk.vkDestroyQueryPool(device_.handle, times_, nullptr);
}

}  // namespace vks::vulkan
