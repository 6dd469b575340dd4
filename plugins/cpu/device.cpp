// The device table: memory, streams, copies and fences. Operators are kernel.cpp's.
#include "plugins/cpu/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "plugins/cpu/kernel.h"
#include "plugins/cpu/machine.h"
#include "plugins/cpu/targets.h"

vks_buffer::~vks_buffer() {
    if (kind == VKS_BUFFER_IMPORT) return;
    if (mapped_bytes != 0) {
        munmap(data, mapped_bytes);
    } else {
        std::free(data);  // NOLINT(cppcoreguidelines-no-malloc): aligned_alloc's
    }
}

namespace vks::cpu {
namespace {

using abi::fail;
using abi::guard;

constexpr uint64_t kAlignment = 64;
// From here on memory is mapped: it comes zeroed lazily, in large pages where the system has them, and goes back at
// once. Whole large pages: else a layer's latent cache, of a few of them, would mostly be in small ones.
constexpr uint64_t kLargePage = uint64_t{1} << 21;
// Copies below this are done by the calling thread alone.
constexpr int64_t kParallelCopy = int64_t{1} << 20;

vks_status null_argument(vks_error* error) {
    return fail(error, VKS_INVALID, "found a null argument");
}

vks_status info(vks_device* device, vks_info* out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!device || !out) return null_argument(error);
        describe(out, device->pool.threads());
        return vks_status{VKS_OK};
    });
}

bool allocate(vks_buffer& buffer, uint64_t bytes) {
    if (bytes > uint64_t{1} << 62) return false;
    if (bytes < kLargePage) {
        const uint64_t rounded = std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
        buffer.data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
        return buffer.data != nullptr;
    }
    const uint64_t rounded = (bytes + kLargePage - 1) / kLargePage * kLargePage, mapped = rounded + kLargePage;
    void* range = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (range == MAP_FAILED) return false;
    auto* begin = static_cast<std::byte*>(range);
    const uint64_t before = (kLargePage - reinterpret_cast<uintptr_t>(begin) % kLargePage) % kLargePage;
    buffer.data = begin + before;
    buffer.mapped_bytes = rounded;
    if (before != 0) munmap(begin, before);
    munmap(buffer.data + rounded, kLargePage - before);
#if defined(MADV_HUGEPAGE)
    madvise(buffer.data, rounded, MADV_HUGEPAGE);
#endif
    return true;
}

vks_status buffer_create(vks_device* device, uint64_t bytes, uint32_t kind, void* import, vks_buffer** out,
                         vks_error* error) noexcept {
    return guard(error, [&] {
        if (!device || !out) return null_argument(error);
        *out = nullptr;
        if (kind > VKS_BUFFER_IMPORT) return fail(error, VKS_UNSUPPORTED, "buffer kind %u", kind);
        if ((kind == VKS_BUFFER_IMPORT) != (import != nullptr)) {
            return fail(error, VKS_INVALID, "buffer: wanted a host range for IMPORT, and only then");
        }
        auto buffer = std::make_unique<vks_buffer>();
        buffer->device = device;
        buffer->bytes = bytes;
        if (kind == VKS_BUFFER_IMPORT) {
            buffer->data = static_cast<std::byte*>(import);
        } else if (!allocate(*buffer, bytes)) {
            return fail(error, VKS_NO_MEMORY, "buffer: no host memory for %llu bytes",
                        static_cast<unsigned long long>(bytes));
        }
        buffer->kind = kind;
        *out = buffer.release();
        return vks_status{VKS_OK};
    });
}

void buffer_destroy(vks_device*, vks_buffer* buffer) noexcept {
    if (buffer) buffer->device->forget();
    delete buffer;
}

void* buffer_map(vks_device*, vks_buffer* buffer) noexcept {
    return buffer ? buffer->data : nullptr;
}

vks_status query_op(vks_device* device, const vks_op* op, vks_support* support, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!device || !op || !support) return null_argument(error);
        vks_support full{};
        const uint64_t size = std::min<uint64_t>(support->size, sizeof full);
        std::memcpy(&full, support, size);
        const vks_status status = query(*device, *op, full, error);
        std::memcpy(support, &full, size);
        return status;
    });
}

uint64_t packed_bytes(vks_device*, const vks_tensor* tensor) noexcept {
    bool ok = tensor && tensor->layout == VKS_ROW_MAJOR;
    return ok ? args::reach(*tensor, ok) : 0;
}

vks_status prepare_op(vks_device* device, const vks_op* op, vks_kernel** out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!device || !op || !out) return null_argument(error);
        *out = nullptr;
        std::unique_ptr<vks_kernel> kernel;
        const vks_status status = prepare(*device, *op, kernel, error);
        *out = kernel.release();
        return status;
    });
}

void kernel_destroy(vks_device*, vks_kernel* kernel) noexcept {
    if (kernel) kernel->device->forget();
    delete kernel;
}

vks_status stream_create(vks_device* device, vks_stream** out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!device || !out) return null_argument(error);
        *out = nullptr;
        auto stream = std::make_unique<vks_stream>();
        stream->device = device;
        *out = stream.release();
        return vks_status{VKS_OK};
    });
}

void stream_destroy(vks_stream* stream) noexcept {
    delete stream;
}

// Copies one innermost row (dim[3] elements, maybe strided) of tensors brought to rank 4.
struct Copy {
    std::byte *from, *to;
    int64_t dim[4], from_stride[4], to_stride[4];
    size_t bytes;  // of an element

    void row(int64_t index) const {
        int64_t source = 0, target = 0;
        for (int axis = 2; axis >= 0; --axis) {
            const int64_t i = index % dim[axis];
            index /= dim[axis];
            source += i * from_stride[axis];
            target += i * to_stride[axis];
        }
        const std::byte* in = from + static_cast<size_t>(source) * bytes;
        std::byte* out = to + static_cast<size_t>(target) * bytes;
        if (from_stride[3] == 1 && to_stride[3] == 1) {
            std::memcpy(out, in, static_cast<size_t>(dim[3]) * bytes);
            return;
        }
        for (int64_t i = 0; i < dim[3]; ++i) {
            std::memcpy(out + static_cast<size_t>(i * to_stride[3]) * bytes,
                        in + static_cast<size_t>(i * from_stride[3]) * bytes, bytes);
        }
    }
};

// Whether two elements of a target may lie in one place: an axis must go further than those with smaller strides reach
// together. `locate` has seen that they fit. There is at least one element.
bool overlaps_itself(const vks_tensor& t) {
    for (uint32_t axis = 0; axis < t.rank; ++axis) {
        if (t.dim[axis] == 1) continue;
        int64_t reach = 0;
        for (uint32_t other = 0; other < t.rank; ++other) {
            if (other != axis && t.stride[other] <= t.stride[axis]) reach += (t.dim[other] - 1) * t.stride[other];
        }
        if (t.stride[axis] <= reach) return true;
    }
    return false;
}

// Contiguous tensors become rows of 64 KiB and a rest, others keep their rows.
void run(Pool& pool, Copy copy, bool contiguous) {
    const int64_t rows = copy.dim[0] * copy.dim[1] * copy.dim[2];
    const int64_t total = rows * copy.dim[3] * static_cast<int64_t>(copy.bytes);
    if (contiguous) {
        const int64_t grain = total < kParallelCopy ? total : int64_t{1} << 16;
        pool.parallel_for(total, grain, [&](int64_t first, int64_t last, int) {
            std::memcpy(copy.to + first, copy.from + first, static_cast<size_t>(last - first));
        });
        return;
    }
    const int64_t grain = total < kParallelCopy ? rows : std::max<int64_t>(1, (int64_t{1} << 16) / (total / rows + 1));
    pool.parallel_for(rows, grain, [&](int64_t first, int64_t last, int) {
        for (int64_t r = first; r < last; ++r) copy.row(r);
    });
}

vks_status copy(vks_stream* stream, const vks_tensor* from, const vks_tensor* to, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!stream || !from || !to) return null_argument(error);
        if (from->layout != VKS_ROW_MAJOR || to->layout != VKS_ROW_MAJOR || from->flags != 0 || to->flags != 0) {
            return fail(error, VKS_UNSUPPORTED, "copy: wanted row-major tensors without flags");
        }
        if (from->dtype != to->dtype || from->rank != to->rank || abi::element_bytes(from->dtype) == 0) {
            return fail(error, VKS_INVALID, "copy: wanted one known dtype and rank, found %s rank %u and %s rank %u",
                        abi::dtype_name(from->dtype), from->rank, abi::dtype_name(to->dtype), to->rank);
        }
        Copy work{};
        work.bytes = static_cast<size_t>(abi::element_bytes(from->dtype));
        work.from = locate(*stream->device, *from, "copy from", error);
        work.to = work.from ? locate(*stream->device, *to, "copy to", error) : nullptr;
        if (!work.to) return vks_status{VKS_INVALID};
        if (to->buffer->kind == VKS_BUFFER_IMPORT) return fail(error, VKS_INVALID, "copy: found a read-only target");
        const uint32_t shift = 4 - from->rank;
        for (uint32_t axis = 0; axis < 4; ++axis) {
            const bool used = axis >= shift;
            work.dim[axis] = used ? from->dim[axis - shift] : 1;
            work.from_stride[axis] = used ? from->stride[axis - shift] : 0;
            work.to_stride[axis] = used ? to->stride[axis - shift] : 0;
            if (work.dim[axis] < 0 || (used && to->dim[axis - shift] != work.dim[axis])) {
                return fail(error, VKS_INVALID, "copy: wanted equal dims");
            }
        }
        for (const int64_t n : work.dim)
            if (n == 0) return vks_status{VKS_OK};
        // No overlap in the target: its elements are no more than its buffer holds, and their number no overflow.
        if (overlaps_itself(*to)) return fail(error, VKS_INVALID, "copy: found a target that overlaps itself");
        bool ok = true;
        const std::byte *from_end = work.from + args::reach(*from, ok), *to_end = work.to + args::reach(*to, ok);
        if (from->buffer == to->buffer && work.from < to_end && work.to < from_end) {
            return fail(error, VKS_INVALID, "copy: found overlapping tensors");
        }
        run(stream->device->pool, work, abi::contiguous(*from) && abi::contiguous(*to));
        return vks_status{VKS_OK};
    });
}

vks_status launch_kernel(vks_stream* stream, vks_kernel* kernel, const vks_tensor* args, uint64_t count,
                         const vks_tensor* scratch, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!stream || !kernel) return null_argument(error);
        return launch(*stream, *kernel, args, count, scratch, error);
    });
}

// True once the fence has reached `value`; UINT64_MAX nanoseconds are forever.
bool await(vks_fence& fence, uint64_t value, uint64_t ns) {
    std::unique_lock lock(fence.mutex);
    const auto reached = [&] { return fence.value >= value; };
    constexpr uint64_t kForever = uint64_t{1} << 60;
    if (ns >= kForever) {
        fence.changed.wait(lock, reached);
        return true;
    }
    return fence.changed.wait_for(lock, std::chrono::nanoseconds(ns), reached);
}

// Work runs at once, so work that is to come after the fence can only be held back by holding back the caller.
vks_status wait(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!stream || !fence) return null_argument(error);
        await(*fence, value, UINT64_MAX);
        return vks_status{VKS_OK};
    });
}

vks_status submit(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!stream || !fence) return null_argument(error);
        stream->ahead.submitted();
        const std::lock_guard lock(fence->mutex);
        if (value < fence->value) {
            return fail(error, VKS_INVALID, "fence: wanted at least %llu, found %llu",
                        static_cast<unsigned long long>(fence->value), static_cast<unsigned long long>(value));
        }
        fence->value = value;
        fence->changed.notify_all();
        return vks_status{VKS_OK};
    });
}

vks_status fence_create(vks_device* device, vks_fence** out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!device || !out) return null_argument(error);
        *out = nullptr;
        auto fence = std::make_unique<vks_fence>();
        fence->device = device;
        *out = fence.release();
        return vks_status{VKS_OK};
    });
}

vks_status fence_await(vks_fence* fence, uint64_t value, uint64_t ns, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!fence) return null_argument(error);
        if (await(*fence, value, ns)) return vks_status{VKS_OK};
        return fail(error, VKS_TIMEOUT, "fence: value %llu not reached in %llu ns",
                    static_cast<unsigned long long>(value), static_cast<unsigned long long>(ns));
    });
}

void fence_destroy(vks_fence* fence) noexcept {
    delete fence;
}

}  // namespace

extern constinit const vks_device_api kDeviceApi = {
    .size = sizeof(vks_device_api),
    .info = info,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_map = buffer_map,
    .query = query_op,
    .packed_bytes = packed_bytes,
    .prepare = prepare_op,
    .kernel_destroy = kernel_destroy,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .copy = copy,
    .launch = launch_kernel,
    .wait = wait,
    .submit = submit,
    .fence_create = fence_create,
    .fence_await = fence_await,
    .fence_destroy = fence_destroy,
};

void describe(vks_info* out, int threads) {
    vks_info full{};
    full.size = out->size;
    const std::string isa = best_target();
    const Memory ram = memory();
    std::snprintf(full.name, sizeof full.name, "%s (%s)", processor_name().c_str(), isa.c_str());
    std::snprintf(full.detail, sizeof full.detail, "%s, %d thread%s of %d usable, %.1f GiB", isa.c_str(), threads,
                  threads == 1 ? "" : "s", usable_cores(), static_cast<double>(ram.total) / (1u << 30));
    full.bytes_total = ram.total;
    full.bytes_free = ram.available;
    full.max_buffer = full.max_binding = ram.total;
    full.alignment = kAlignment;
    full.flags = VKS_DEVICE_HOST_MEMORY | VKS_DEVICE_FALLBACK;
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
}

}  // namespace vks::cpu
