// A stream notes what it is given and turns it into commands when it is submitted. The same work submitted again - a
// decode step - is the same recording submitted again: nothing is encoded, allocated or updated.
#pragma once
#include <list>

#include "plugins/vulkan/device.h"
#include "plugins/vulkan/recording.h"

struct vks_stream {
    explicit vks_stream(vks_device& d);
    ~vks_stream();
    vks_stream(const vks_stream&) = delete;
    vks_stream& operator=(const vks_stream&) = delete;

    void launch(const vks_kernel& kernel, const vks_tensor* given, uint64_t count, const vks_tensor* scratch);
    void copy(const vks_tensor& from, const vks_tensor& to);
    void wait(vks_fence& fence, uint64_t value);
    void submit(vks_fence& fence, uint64_t value);

    // vks.clock/1, clock.cpp.
    void time(bool on);
    vks_span last_span() const;

    vks_device& device;

private:
    vks::vulkan::Place place(const vks_tensor& t, const char* what) const;
    vks::vulkan::Recording* find_recording();
    vks::vulkan::Recording& record();
    static void flush(vks_device& device);
    static void enqueue(vks_device& device, const vks::vulkan::Submission& submission);

    VkCommandPool pool_ = VK_NULL_HANDLE;
    vks::vulkan::Work work_;                        // since the last submit
    std::vector<vks::vulkan::Arg> checked_;         // a launch's arguments, while they are checked
    std::list<vks::vulkan::Recording> recordings_;  // most recently used first
    bool timed_ = false;
    VkQueryPool last_times_ = VK_NULL_HANDLE;                   // of the last submission with work, while that is kept
    std::vector<std::pair<const vks_fence*, uint64_t>> waits_;  // of the next submit
};
