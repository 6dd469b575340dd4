// vks.threads/1: the pool's threads, and when they were at work.
#include "plugins/cpu/threads.h"

#include <algorithm>
#include <array>

#include "plugins/cpu/device.h"

namespace vks::cpu {
namespace {

using abi::fail;
using abi::guard;

vks_status enable(vks_stream* stream, uint64_t on, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!stream) return fail(error, VKS_INVALID, "found a null argument");
        stream->device->pool.note_times(on != 0);
        return vks_status{VKS_OK};
    });
}

vks_status take(vks_stream* stream, vks_thread_span* out, uint64_t capacity, uint64_t* count,
                vks_error* error) noexcept {
    return guard(error, [&] {
        if (!stream || !out || !count) return fail(error, VKS_INVALID, "found a null argument");
        std::array<Pool::Span, 64> spans{};
        for (*count = 0; *count < capacity;) {
            const size_t wanted = std::min<uint64_t>(spans.size(), capacity - *count);
            const size_t taken = stream->device->pool.take_times({spans.data(), wanted});
            for (size_t i = 0; i < taken; ++i)
                out[(*count)++] = {uint64_t(spans[i].worker), uint64_t(spans[i].begin), uint64_t(spans[i].end)};
            if (taken < wanted) break;
        }
        return vks_status{VKS_OK};
    });
}

uint64_t usual() noexcept {
    return static_cast<uint64_t>(usable_cores());
}

}  // namespace

const vks_threads_api kThreadsApi = {sizeof(vks_threads_api), enable, take, usual};

}  // namespace vks::cpu
