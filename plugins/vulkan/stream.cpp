#include "plugins/vulkan/stream.h"

#include <algorithm>
#include <utility>

namespace {

// Prefill chunks of several lengths, decode, drafts, uploads: beyond these the least recently used goes.
constexpr size_t kRecordings = 32;

// Does it on the way out, also of what throws.
template <class F>
class AtEnd {
public:
    explicit AtEnd(F f) : f_(std::move(f)) {}
    AtEnd(const AtEnd&) = delete;
    AtEnd& operator=(const AtEnd&) = delete;
    ~AtEnd() { f_(); }

private:
    F f_;
};

}  // namespace

using namespace vks::vulkan;

vks_stream::vks_stream(vks_device& d) : device(d) {
    auto info = described<VkCommandPoolCreateInfo>(VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO);
    info.queueFamilyIndex = device.gpu.queue_family;
    device.check(device.vk.vkCreateCommandPool(device.handle, &info, nullptr, &pool_), "vkCreateCommandPool");
}

// Command buffers must not go while they run.
vks_stream::~vks_stream() {
    {
        const std::lock_guard lock(device.queue_mutex);
        std::erase_if(device.held_back, [this](const Submission& s) { return s.stream == this; });
        device.vk.vkQueueWaitIdle(device.queue);
    }
    recordings_.clear();
    device.vk.vkDestroyCommandPool(device.handle, pool_, nullptr);
}

// Where an argument lies; its offset must be one that a descriptor takes.
Place vks_stream::place(const vks_tensor& t, const char* what) const {
    const Bind bind = locate(device, t, what);
    const uint32_t alignment = device.caps().offset_alignment;
    if (bind.offset % alignment != 0)
        throw Failure(VKS_INVALID, std::string(what) + ": wanted an offset aligned to " + std::to_string(alignment) +
                                       ", found " + std::to_string(t.offset));
    return {t.buffer->id, bind.buffer, bind.offset, bind.bytes, {}};
}

void vks_stream::launch(const vks_kernel& kernel, const vks_tensor* given, uint64_t count, const vks_tensor* scratch) {
    const char* id = kernel.op->id;
    if (kernel.device != &device) throw Failure(VKS_INVALID, std::string(id) + ": a kernel of another device");
    if (count != kernel.given.size() || (count != 0 && !given))
        throw Failure(VKS_INVALID, std::string(id) + " launch arguments: wanted " +
                                       std::to_string(kernel.given.size()) + ", found " + std::to_string(count));
    // A launch that is refused leaves nothing behind.
    size_t kept = work_.places.size();
    const AtEnd rollback([&] { work_.places.resize(kept); });
    Item item;
    item.kernel = &kernel;
    item.kernel_id = kernel.id;
    item.first_place = work_.places.size();
    item.places = kernel.args.size() + 1;
    checked_.assign(kernel.args.begin(), kernel.args.end());
    size_t next = 0;
    for (size_t i = 0; i < kernel.args.size(); ++i) {
        const bool from_caller = next < count && kernel.given[next] == i;
        const vks_tensor& t = from_caller ? given[next++] : kernel.declared[i];
        if (const char* wrong = from_caller ? vks::args::mismatch(kernel.declared[i], t) : nullptr)
            throw Failure(VKS_INVALID, std::string(id) + " argument " + std::to_string(i) + ": found " + wrong);
        Place& here = work_.places.emplace_back(t.dtype == VKS_NONE ? Place{} : place(t, id));
        const bool output = t.dtype != VKS_NONE && vks::args::written(i, kernel.args.size(), kernel.op->outputs);
        if (const char* wrong = output ? vks::args::unwritable(t.buffer->kind) : nullptr)
            throw Failure(VKS_INVALID, std::string(id) + " argument " + std::to_string(i) + ": " + wrong);
        std::copy_n(from_caller ? t.dim : kernel.args[i].dim, 4, here.dim);
        std::copy_n(here.dim, 4, checked_[i].dim);
    }
    // With the actual dims, the check also says whether they agree with each other.
    if (const std::string text = kernel.op->check({checked_, kernel.params.data(), kernel.op->params_size});
        !text.empty())
        throw Failure(VKS_INVALID, std::string(id) + " " + text);
    Place& space = work_.places.emplace_back();
    if (kernel.recipe.scratch_bytes > 0) {
        if (scratch) space = place(*scratch, id);
        if (const char* wrong = scratch ? vks::args::unwritable(scratch->buffer->kind) : nullptr)
            throw Failure(VKS_INVALID, std::string(id) + " scratch: " + wrong);
        if (space.bytes < kernel.recipe.scratch_bytes)
            throw Failure(VKS_INVALID, std::string(id) + " scratch: wanted " +
                                           std::to_string(kernel.recipe.scratch_bytes) + " bytes, found " +
                                           std::to_string(space.bytes));
        space.bytes = kernel.recipe.scratch_bytes;
    }
    work_.items.push_back(item);
    kept = work_.places.size();
}

void vks_stream::copy(const vks_tensor& from, const vks_tensor& to) {
    if (from.layout != VKS_ROW_MAJOR || to.layout != VKS_ROW_MAJOR || from.flags != 0 || to.flags != 0)
        throw Failure(VKS_UNSUPPORTED, "copy: wanted row-major tensors without flags");
    if (from.dtype != to.dtype || from.rank != to.rank || vks::abi::element_bytes(from.dtype) == 0)
        throw Failure(VKS_INVALID, "copy: wanted one known dtype and rank, found two");
    const Bind source = locate(device, from, "copy from"), target = locate(device, to, "copy to");
    const uint32_t shift = 4 - from.rank;
    int64_t dim[4] = {1, 1, 1, 1}, from_stride[4] = {}, to_stride[4] = {};
    for (uint32_t axis = 0; axis < from.rank; ++axis) {
        if (from.dim[axis] < 0 || from.dim[axis] != to.dim[axis]) throw Failure(VKS_INVALID, "copy: wanted equal dims");
        dim[axis + shift] = from.dim[axis];
        from_stride[axis + shift] = from.stride[axis];
        to_stride[axis + shift] = to.stride[axis];
    }
    if (to.buffer->kind == VKS_BUFFER_IMPORT) throw Failure(VKS_INVALID, "copy: found a read-only target");
    if (source.buffer == target.buffer && source.offset < target.offset + target.bytes &&
        target.offset < source.offset + source.bytes)
        throw Failure(VKS_INVALID, "copy: found overlapping tensors");
    if (dim[0] * dim[1] * dim[2] * dim[3] == 0) return;
    const auto bytes = uint64_t(vks::abi::element_bytes(from.dtype));
    Item item;
    item.first_place = work_.places.size();
    item.places = 2;
    item.first_region = work_.regions.size();
    work_.places.push_back({from.buffer->id, source.buffer, source.offset, source.bytes, {}});
    work_.places.push_back({to.buffer->id, target.buffer, target.offset, target.bytes, {}});
    if (vks::abi::contiguous(from) && vks::abi::contiguous(to)) {
        work_.regions.push_back({0, 0, source.bytes});
    } else {
        const bool rows = from_stride[3] == 1 && to_stride[3] == 1;
        const int64_t inner = rows ? 1 : dim[3];
        for (int64_t i = 0; i < dim[0] * dim[1] * dim[2] * inner; ++i) {
            int64_t index = i / inner, a = i % inner * from_stride[3], b = i % inner * to_stride[3];
            for (int axis = 2; axis >= 0; --axis) {
                a += index % dim[axis] * from_stride[axis];
                b += index % dim[axis] * to_stride[axis];
                index /= dim[axis];
            }
            work_.regions.push_back({uint64_t(a) * bytes, uint64_t(b) * bytes, bytes * uint64_t(rows ? dim[3] : 1)});
        }
    }
    item.regions = work_.regions.size() - item.first_region;
    work_.items.push_back(item);
}

void vks_stream::wait(vks_fence& fence, uint64_t value) {
    if (fence.device != &device) throw Failure(VKS_INVALID, "fence: one of another device");
    waits_.emplace_back(&fence, value);
}

Recording* vks_stream::find_recording() {
    const auto found = std::find_if(recordings_.begin(), recordings_.end(), [&](const Recording& r) {
        return r.work() == work_ && (r.times() != nullptr) == timed_;
    });
    if (found == recordings_.end()) return nullptr;
    recordings_.splice(recordings_.begin(), recordings_, found);
    return &recordings_.front();
}

Recording& vks_stream::record() {
    if (recordings_.size() >= kRecordings) {
        const std::lock_guard lock(device.queue_mutex);
        const bool held = std::any_of(device.held_back.begin(), device.held_back.end(),
                                      [this](const Submission& s) { return s.stream == this; });
        device.check(device.vk.vkQueueWaitIdle(device.queue), "vkQueueWaitIdle");
        if (!held) recordings_.pop_back();
    }
    recordings_.emplace_front(device, pool_, work_, timed_);
    return recordings_.front();
}

void vks_stream::submit(vks_fence& fence, uint64_t value) {
    if (fence.device != &device) throw Failure(VKS_INVALID, "fence: one of another device");
    const uint64_t submitted = fence.submitted;
    if (value < submitted)
        throw Failure(VKS_INVALID,
                      "fence: wanted at least " + std::to_string(submitted) + ", found " + std::to_string(value));
    std::span<const VkCommandBuffer> pieces;
    if (!work_.items.empty()) {
        // Whatever comes of it, the work is no longer pending.
        const AtEnd clear([&] { work_.clear(); });
        Recording* const same = find_recording();
        const Recording& recording = same ? *same : record();
        pieces = recording.pieces();
        last_times_ = recording.times();
        if (recording.dispatches() > 0) {
            device.last_dispatches = recording.dispatches();
            device.last_barriers = recording.barriers();
        }
    }
    fence.submitted = value;
    Submission submission{this, pieces, std::move(waits_), &fence, value};
    waits_.clear();
    const std::lock_guard lock(device.queue_mutex);
    device.held_back.push_back(std::move(submission));
    flush(device);
}

// One queue runs everything in order, so what waits for something not yet submitted must not be submitted either: it is
// held back, and with it whatever its stream submits later. The device's queue_mutex is held.
void vks_stream::flush(vks_device& device) {
    bool moved = true;
    while (moved) {
        moved = false;
        std::vector<const vks_stream*> blocked;
        for (auto it = device.held_back.begin(); it != device.held_back.end();) {
            const bool behind = std::find(blocked.begin(), blocked.end(), it->stream) != blocked.end();
            const bool ready = std::all_of(it->waits.begin(), it->waits.end(),
                                           [](const auto& w) { return w.first->queued >= w.second; });
            if (behind || !ready) {
                blocked.push_back(it->stream);
                ++it;
                continue;
            }
            const Submission submission = std::move(*it);
            it = device.held_back.erase(it);
            enqueue(device, submission);
            moved = true;
        }
    }
}

// A recording's pieces go to the queue one by one: each is a job of its own to the kernel's driver, which ends long
// ones.
void vks_stream::enqueue(vks_device& device, const Submission& s) {
    std::vector<VkSemaphore> semaphores;
    std::vector<uint64_t> values;
    for (const auto& [fence, value] : s.waits) {
        semaphores.push_back(fence->semaphore);
        values.push_back(value);
    }
    const std::vector<VkPipelineStageFlags> stages(semaphores.size(), VK_PIPELINE_STAGE_ALL_COMMANDS_BIT);
    auto timeline = described<VkTimelineSemaphoreSubmitInfo>(VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
    timeline.pWaitSemaphoreValues = values.data();
    timeline.pSignalSemaphoreValues = &s.value;
    auto info = described<VkSubmitInfo>(VK_STRUCTURE_TYPE_SUBMIT_INFO, &timeline);
    info.pWaitSemaphores = semaphores.data();
    info.pWaitDstStageMask = stages.data();
    info.pSignalSemaphores = &s.fence->semaphore;
    const size_t submits = std::max<size_t>(1, s.pieces.size());
    for (size_t i = 0; i < submits; ++i) {
        const bool signals = i + 1 == submits && s.value > s.fence->queued;
        timeline.waitSemaphoreValueCount = info.waitSemaphoreCount = i == 0 ? uint32_t(semaphores.size()) : 0;
        timeline.signalSemaphoreValueCount = info.signalSemaphoreCount = signals ? 1 : 0;
        info.commandBufferCount = s.pieces.empty() ? 0 : 1;
        info.pCommandBuffers = s.pieces.empty() ? nullptr : &s.pieces[i];
        const VkResult result = device.vk.vkQueueSubmit(device.queue, 1, &info, VK_NULL_HANDLE);
        // Whoever is told that nothing was submitted may destroy what the pieces before are using.
        if (result != VK_SUCCESS && i > 0) device.vk.vkQueueWaitIdle(device.queue);
        device.check(result, "vkQueueSubmit");
        ++device.submits;
    }
    s.fence->queued = s.value;
}
