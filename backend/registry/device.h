// One opened device of a plugin, in C++: owned handles instead of raw ones, Results instead of status codes.
// Nothing here knows which plugin it talks to.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/abi/draft/compile.h"
#include "backend/abi/draft/stats.h"
#include "backend/abi/plugin.hpp"
#include "backend/base/result.h"

namespace vks {

class Device;

// A handle that its device destroys. Move-only; must not outlive the Device.
template <class T, void (*kDestroy)(Device&, T*)>
class Owned {
public:
    Owned() = default;
    Owned(Device& device, T* raw) : device_(&device), raw_(raw) {}
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    Owned(Owned&& o) noexcept : device_(o.device_), raw_(std::exchange(o.raw_, nullptr)) {}
    Owned& operator=(Owned&& o) noexcept {
        std::swap(device_, o.device_);
        std::swap(raw_, o.raw_);
        return *this;
    }
    ~Owned() {
        if (raw_) kDestroy(*device_, raw_);
    }
    T* get() const { return raw_; }
    explicit operator bool() const { return raw_ != nullptr; }

private:
    Device* device_ = nullptr;
    T* raw_ = nullptr;
};

void destroy_buffer(Device&, vks_buffer*);
void destroy_kernel(Device&, vks_kernel*);
void destroy_stream(Device&, vks_stream*);
void destroy_fence(Device&, vks_fence*);
using Buffer = Owned<vks_buffer, destroy_buffer>;
using Kernel = Owned<vks_kernel, destroy_kernel>;
using Stream = Owned<vks_stream, destroy_stream>;
using Fence = Owned<vks_fence, destroy_fence>;

// Bytes of each piece of memory, so that what two own together counts once.
using MemoryUse = std::map<std::pair<const Device*, const vks_buffer*>, uint64_t>;

// What a plugin wrote into `capacity` bytes, as one printable line: it may lack the terminator, or hold anything.
std::string plugin_text(const char* text, size_t capacity);
// The same in place, cut to fit, terminated.
void make_printable(char* text, size_t capacity);
// "device lost: <text of the plugin>"
std::string status_text(vks_status status, const vks_error& error);

// A device's answer about one op.
struct Support {
    bool ok = false;
    std::string reason;  // of a refusal
    std::string variant;
    uint64_t scratch_bytes = 0;
    uint64_t est_ns = 0;
    std::vector<uint32_t> arg_layout;
};

// kWrong: its numbers aren't right, so nothing it holds is to be used. kLost: it is gone, and its memory with it.
enum class Health { kOk, kUnhealthy, kWrong, kLost };

// What a fence is waited for, as messages name it. The names are borrowed.
struct InFlight {
    const std::string *first = nullptr, *last = nullptr;
    size_t count = 0;

    void add(const std::string& what) {
        if (count++ == 0) first = &what;
        last = &what;
    }
    // "await", "await of add x" or "await of 12 operators, embed e to gemm g".
    std::string text() const;
};

constexpr uint64_t kWatchdogNs = 60'000'000'000;

// Thread-safe except where the ABI says [stream] or [idle]. Health only ever gets worse: DEVICE_LOST makes it kLost, an
// INTERNAL error, an exception that the plugin lets out or a status of no known meaning kUnhealthy.
class Device {
public:
    // `index` counts within the plugin. The id is "cpu", or "vulkan:1" where the plugin has several.
    static Result<std::unique_ptr<Device>> open(const vks_plugin& plugin, uint32_t index, std::string id,
                                                const vks_host& host, const std::string& options);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const std::string& id() const { return id_; }
    const vks_plugin& plugin() const { return plugin_; }
    const vks_info& info() const { return info_; }
    bool has(uint64_t flag) const { return (info_.flags & flag) != 0; }

    Health health() const { return health_.load(); }
    std::string health_reason() const;
    // Whether it was ever marked kWrong, also when it was lost since: what it wrote elsewhere stays wrong.
    bool was_wrong() const { return wrong_; }
    // Keeps the first reason of the worst state.
    void mark(Health health, const std::string& reason);

    // `what` names the purpose, for the message.
    Result<Buffer> buffer(uint64_t bytes, uint32_t kind, void* import, const std::string& what);
    void* map(const Buffer& buffer);
    Support query(const vks_op& op);
    uint64_t packed_bytes(const vks_tensor& tensor);
    Result<Kernel> prepare(const vks_op& op, const std::string& what);
    // Waits for a kernel that is still being compiled. An error says that prepare() of such an op fails from now on; a
    // device that gives the same one again takes it back, and isn't kOk any more. `what` as for prepare().
    Status finish(const Kernel& kernel, const std::string& what);
    Result<Stream> stream();
    Result<Fence> fence();
    // [stream]
    Status copy(const Stream& stream, const vks_tensor& from, const vks_tensor& to);
    Status launch(const Stream& stream, const Kernel& kernel, std::span<const vks_tensor> args,
                  const vks_tensor* scratch, const std::string& what);
    Status submit(const Stream& stream, const Fence& fence, uint64_t value);
    // What the plugin counted since the device was opened; nothing when it counts nothing.
    std::optional<vks_stats> stats();
    // A device that doesn't get there in time counts as lost, and hangs().
    Status await(const Fence& fence, uint64_t value, const InFlight& work);
    // How long await() waits.
    void set_watchdog(uint64_t ns) { watchdog_ns_ = ns; }
    // It didn't answer in time and may still run: what belongs to it is left to it for good, never destroyed.
    bool hangs() const { return hangs_; }

private:
    friend void destroy_buffer(Device&, vks_buffer*);
    friend void destroy_kernel(Device&, vks_kernel*);
    friend void destroy_stream(Device&, vks_stream*);
    friend void destroy_fence(Device&, vks_fence*);
    Device(const vks_plugin& plugin, std::string id) : plugin_(plugin), api_(*plugin.device), id_(std::move(id)) {}
    Status check(vks_status status, const vks_error& error, const std::string& what);
    template <class... P, class... A>
    Status call(const std::string& what, vks_status (*function)(P...), A... args);
    template <class R, class... P, class... A>
    R value(const std::string& what, R (*function)(P...), A... args);
    template <class T>
    void destroy(const std::string& what, void (*function)(vks_device*, T*), T* raw);
    template <class T>
    void destroy(const std::string& what, void (*function)(T*), T* raw);

    const vks_plugin& plugin_;
    const vks_device_api& api_;
    std::string id_;
    vks_device* raw_ = nullptr;
    const vks_stats_api* stats_ = nullptr;
    const vks_compile_api* compile_ = nullptr;
    vks_info info_{};
    std::atomic<Health> health_{Health::kOk};
    std::atomic<bool> wrong_{false};
    std::atomic<uint64_t> watchdog_ns_{kWatchdogNs};
    std::atomic<bool> hangs_{false};
    mutable std::mutex mutex_;  // guards what follows
    std::string health_reason_;
    std::set<std::string> unfinished_;  // the errors of finish()
};

}  // namespace vks
