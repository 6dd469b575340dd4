// A shader run by itself, as if it were an operator that nobody else knows: streams do the rest.
#pragma once
#include "plugins/vulkan/stream.h"

namespace vks::vulkan {

// Push constants and groups of a dispatch.
struct AloneRun {
    uint32_t push[4] = {};
    uint32_t groups = 1;
};

// One buffer, binding 0 of the shader. Throws what making it threw. Not thread-safe.
class Alone {
public:
    Alone(vks_device& device, Program program, uint64_t bytes, Memory kind);
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

    // Waits. False: the device doesn't answer.
    bool run(const AloneRun& run);
    // Of the last run, by the device's clock where it has one.
    uint64_t ns() const { return ns_; }
    const std::byte* mapped() const { return buffer_.range.mapped; }

private:
    vks_device& device_;
    vks_buffer buffer_;
    vks_kernel kernel_;
    std::unique_ptr<vks_stream> stream_;
    vks_fence* fence_ = nullptr;
    uint64_t submitted_ = 0, ns_ = 0;
};

}  // namespace vks::vulkan
