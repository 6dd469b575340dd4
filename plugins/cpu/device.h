// The objects behind the ABI's handles. A launch runs at once, in the calling thread and the pool; a fence is a
// counter.
#pragma once
#include <array>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "plugins/cpu/op.h"

struct vks_device {
    explicit vks_device(int threads) : pool(threads) {}

    vks::cpu::Pool pool;
    std::string variant;         // "": the best; else variants of this name only, and the plain ones
    bool portable_only = false;  // a SIMD target was asked for: no variant tied to another
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

// The extents of given arguments that an op's check last accepted: most launches have those of the one before, and a
// check of hundreds of experts' weights takes as long as a small operator. Thread-safe.
class Accepted {
public:
    // Room for this many extents.
    void reserve(size_t extents) { last_.reserve(extents); }

    bool known(std::span<const vks_tensor> given) {
        const std::lock_guard lock(mutex_);
        size_t i = 0;
        for (const vks_tensor& t : given) {
            for (uint32_t d = 0; d < t.rank; ++d, ++i) {
                if (i >= last_.size() || last_[i] != t.dim[d]) return false;
            }
        }
        return i == last_.size();
    }
    void remember(std::span<const vks_tensor> given) {
        const std::lock_guard lock(mutex_);
        last_.clear();
        for (const vks_tensor& t : given) last_.insert(last_.end(), t.dim, t.dim + t.rank);
    }

private:
    std::mutex mutex_;
    std::vector<int64_t> last_;
};

}  // namespace vks::cpu

struct vks_kernel {
    vks_device* device = nullptr;
    const vks::cpu::Op* op = nullptr;
    const vks::cpu::Variant* variant = nullptr;
    alignas(16) std::array<std::byte, 64> params{};
    uint64_t scratch_bytes = 0;
    std::vector<vks::cpu::Arg> args;   // constants bound, the others at their maximum extents
    std::vector<vks_tensor> declared;  // of each argument, as prepared
    std::vector<uint32_t> given;       // indices of the arguments that come with the launch
    mutable vks::cpu::Accepted accepted;
};

struct vks_stream {
    vks_device* device = nullptr;
    std::unique_ptr<vks::cpu::Arg[]> args;  // room for a launch's arguments, so that launch needn't allocate
};

struct vks_fence {
    vks_device* device = nullptr;
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t value = 0;
};

namespace vks::cpu {

// More arguments than any model's grouped_gemm has (two per expert): the room every stream keeps.
inline constexpr size_t kMaxArgs = 2048;

extern const vks_device_api kDeviceApi;

// Fills what `size` covers of *out. Thread-safe.
void describe(vks_info* out, int threads);

}  // namespace vks::cpu
