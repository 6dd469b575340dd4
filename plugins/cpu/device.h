// The objects behind the ABI's handles. A launch runs at once, in the calling thread and the pool; a fence is a
// counter.
#pragma once
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "plugins/cpu/ahead.h"
#include "plugins/cpu/op.h"

struct vks_device {
    explicit vks_device(int threads) : pool(threads) {}

    // Before a buffer or a kernel is freed: waits for a stream that looks into it.
    void forget() {
        const std::lock_guard lock(freeing);
        ++freed;
    }

    vks::cpu::Pool pool;
    std::atomic<uint64_t> freed{0};  // buffers and kernels: what was found about one holds until this changes
    std::mutex freeing;              // held, `freed` doesn't change. Streams look elsewhere rather than wait for it
    std::string variant;             // "": the best; else variants of this name only, and the plain ones
    bool portable_only = false;      // a SIMD target was asked for: no variant tied to another
};

struct vks_buffer {
    vks_device* device = nullptr;
    std::byte* data = nullptr;
    uint64_t bytes = 0;
    uint64_t mapped_bytes = 0;  // not 0: to be unmapped
    uint32_t kind = VKS_BUFFER_DEVICE;

    vks_buffer() = default;
    ~vks_buffer();
    vks_buffer(const vks_buffer&) = delete;
    vks_buffer& operator=(const vks_buffer&) = delete;
};

namespace vks::cpu {

// What a launch was given, and what became of it: most are given the same as the one before, and finding out what
// is wrong with hundreds of experts' weights takes as long as a small operator. Guarded by `mutex`, also while the
// kernel runs.
struct Bound {
    std::mutex mutex;
    std::vector<Arg> args;          // constants, and the others as last given
    std::vector<vks_tensor> given;  // when it was in order; else empty
    uint64_t freed = 0;             // vks_device::freed then
};

}  // namespace vks::cpu

struct vks_kernel {
    vks_device* device = nullptr;
    const vks::cpu::Op* op = nullptr;
    const vks::cpu::Variant* variant = nullptr;
    alignas(16) std::array<std::byte, 64> params{};
    uint64_t scratch_bytes = 0;
    std::vector<vks_tensor> declared;  // of each argument, as prepared
    std::vector<uint32_t> given;       // indices of the arguments that come with the launch
    mutable vks::cpu::Bound bound;
};

struct vks_stream {
    vks_device* device = nullptr;
    vks::cpu::Ahead ahead;
};

struct vks_fence {
    vks_device* device = nullptr;
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t value = 0;
};

namespace vks::cpu {

extern const vks_device_api kDeviceApi;

// Fills what `size` covers of *out. Thread-safe.
void describe(vks_info* out, int threads);

}  // namespace vks::cpu
