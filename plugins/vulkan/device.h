// The objects behind the ABI's handles.
#pragma once
#include <array>
#include <list>
#include <memory>
#include <vector>

#include "backend/abi/draft/clock.h"
#include "backend/abi/draft/compile.h"
#include "backend/abi/draft/probe.h"
#include "backend/abi/draft/shader.h"
#include "backend/abi/draft/stats.h"
#include "plugins/vulkan/memory.h"
#include "plugins/vulkan/options.h"
#include "plugins/vulkan/pipeline.h"

namespace vks::vulkan {

// What a stream submitted and the queue has not been given yet.
struct Submission {
    const vks_stream* stream = nullptr;
    std::span<const VkCommandBuffer> pieces;  // of a recording, which is kept; none: nothing to run
    std::vector<std::pair<const vks_fence*, uint64_t>> waits;
    vks_fence* fence = nullptr;
    uint64_t value = 0;
};

}  // namespace vks::vulkan

struct vks_device {
    vks_device(vks::vulkan::Gpu g, const vks::vulkan::Options& options);
    ~vks_device();
    vks_device(const vks_device&) = delete;
    vks_device& operator=(const vks_device&) = delete;

    // Once the device is lost every call says so.
    void check_alive() const;
    // Remembers a loss; throws on anything but success.
    void check(VkResult result, const char* what);
    uint64_t next_id() { return ++ids; }

    vks::vulkan::Gpu gpu;  // a copy: options may have taken capabilities away
    VkDevice handle = VK_NULL_HANDLE;
    VolkDeviceTable vk{};
    VkQueue queue = VK_NULL_HANDLE;
    std::mutex queue_mutex;                        // guards queue and held_back
    std::list<vks::vulkan::Submission> held_back;  // in the order submitted
    std::atomic<bool> lost{false};
    std::atomic<uint64_t> ids{0};
    // vks.stats/1 has their meaning.
    std::atomic<uint64_t> recordings{0}, submits{0}, dispatches{0}, barriers{0}, last_dispatches{0}, last_barriers{0};
    bool statistics = false;  // what compilers report of pipelines can be asked for
    std::unique_ptr<vks::vulkan::Heap> heap;
    std::unique_ptr<vks::vulkan::Pipelines> pipelines;
    vks::vulkan::Range dummy;  // bound in place of an absent argument

    const vks::vulkan::Caps& caps() const { return gpu.caps; }

private:
    explicit vks_device(vks::vulkan::Gpu g);
    void create();
};

struct vks_buffer {
    vks_device* device = nullptr;
    vks::vulkan::Range range;
    uint64_t bytes = 0, id = 0;  // ids are never used twice, addresses of freed buffers are
    uint32_t kind = VKS_BUFFER_DEVICE;
};

struct vks_kernel {
    vks_device* device = nullptr;
    uint64_t id = 0;
    const vks::vulkan::Op* op = nullptr;
    vks::vulkan::Recipe recipe;
    std::vector<const vks::vulkan::Pipeline*> pipelines;  // of the recipe's programs
    alignas(16) std::array<std::byte, 64> params{};
    std::vector<vks::vulkan::Arg> args;  // at their maximum extents
    std::vector<vks_tensor> declared;    // as prepared: of constants, buffer and offset
    std::vector<uint32_t> given;         // indices of the arguments that come with the launch
    vks::vulkan::Range table;            // addresses of constants; none if its block is null

    vks_kernel() = default;
    vks_kernel(const vks_kernel&) = delete;
    vks_kernel& operator=(const vks_kernel&) = delete;
    ~vks_kernel();
};

struct vks_fence {
    vks_device* device = nullptr;
    VkSemaphore semaphore = VK_NULL_HANDLE;
    std::atomic<uint64_t> submitted{0};  // by the caller
    std::atomic<uint64_t> queued{0};     // of that, what the queue was given

    vks_fence() = default;
    vks_fence(const vks_fence&) = delete;
    vks_fence& operator=(const vks_fence&) = delete;
    ~vks_fence();
};

namespace vks::vulkan {

extern const vks_device_api kDeviceApi;
extern const vks_clock_api kClockApi;
extern const vks_compile_api kCompileApi;
extern const vks_probe_api kProbeApi;
extern const vks_shader_api kShaderApi;
extern const vks_stats_api kStatsApi;

// One argument's bytes on the device; throws INVALID if its buffer doesn't hold it.
Bind locate(const vks_device& device, const vks_tensor& t, const char* what);

// kernel.cpp
vks_status query(vks_device& device, const vks_op& op, vks_support& support, vks_error* error);
std::unique_ptr<vks_kernel> prepare(vks_device& device, const vks_op& op);
// What that kernel's programs would be; throws UNSUPPORTED where there would be none.
std::vector<Program> programs_of(const vks_device& device, const vks_op& op);

}  // namespace vks::vulkan
