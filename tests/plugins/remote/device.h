// The objects behind the handles of the "remote" test plugin: a device whose memory the host can't see and whose work
// runs later, on threads of its own. It is strict where real drivers are quietly wrong: memory or a kernel destroyed
// while work may still use it ends the program.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend/abi/plugin.hpp"

namespace vks::remote {

// A fault to show how the core takes it, from the options of open.
struct Faults {
    std::string prepare;      // op whose prepare fails: "rms_norm"
    std::string launch;       // op whose launch fails with INTERNAL
    std::string run;          // op that fails while it runs: the error comes out of fence_await
    std::string wrong;        // op whose last output's first element is another number
    std::string unsteady;     // op whose result differs from run to run
    std::string stray;        // op that writes a byte behind its last output
    int64_t lose_after = -1;  // launches until the device is lost
    int64_t delay_us = 0;     // before each submitted batch runs
};

// Ends the program: the caller broke the contract in a way that hardware answers with silence.
[[noreturn]] void broken(const char* what);

// A thing that work refers to; must not go while it does.
struct Used {
    std::atomic<int> uses{0};
};

}  // namespace vks::remote

struct vks_device {
    vks::remote::Faults faults;
    bool private_layouts = true;
    uint64_t est_ns = 0;
    std::string ops;               // the only ones supported, comma-separated; empty: all
    std::atomic<int64_t> left{0};  // launches until it is lost
    std::atomic<bool> lost{false};
    std::atomic<int> runs{0};
    std::atomic<int> objects{0};  // buffers, kernels, streams and fences alive
};

struct vks_buffer : vks::remote::Used {
    vks_device* device = nullptr;
    bool host = false;
    std::vector<std::byte> bytes;
};

struct vks_kernel : vks::remote::Used {
    vks_device* device = nullptr;
    std::string op;
    std::vector<std::byte> params;
    std::vector<vks_tensor> args;  // as prepared
    std::vector<uint32_t> given;   // which come with a launch
    void (*run)(const vks_kernel& kernel, const vks_tensor* args) = nullptr;
};

struct vks_fence {
    vks_device* device = nullptr;
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t value = 0;
    vks_status status = VKS_OK;  // of the work that came before
    std::string text;
};

namespace vks::remote {

struct Work {
    vks_kernel* kernel = nullptr;  // a launch; else a copy
    std::vector<vks_tensor> args;  // of a launch: all of the op's
    vks_tensor from{}, to{};
    vks_fence* await = nullptr;  // first, wait for this
    uint64_t await_value = 0;
    vks_fence* signal = nullptr;  // last, signal this
    uint64_t signal_value = 0;
};

// Every byte a tensor covers lies in its buffer, or null.
std::byte* address(const vks_tensor& tensor);
uint64_t bytes_of(const vks_tensor& tensor);

// The layout that norm weights are asked in: f32, last element first.
constexpr uint32_t kReversed = VKS_LAYOUT_PRIVATE + 7;
// Copies with or without a change of layout.
void copy(const vks_tensor& from, const vks_tensor& to);

// Answers query and fills a kernel's `run`; UNSUPPORTED with the reason.
vks_status look_up(const vks_device& device, const vks_op& op, uint32_t* arg_layout, vks_kernel* kernel,
                   vks_error* error);
extern const char* const kOps[];

}  // namespace vks::remote

struct vks_stream {
    explicit vks_stream(vks_device* owner);
    ~vks_stream();
    void submit();  // what was recorded so far
    vks::remote::Work& record(const vks::remote::Work& work);

    vks_device* device;
    std::vector<vks::remote::Work> recorded;

private:
    void loop();
    void perform(const vks::remote::Work& work);
    void fail(vks_status status, const std::string& text);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<vks::remote::Work> queue_;
    bool stop_ = false;
    vks_status status_ = VKS_OK;
    std::string text_;
    std::thread thread_;
};
