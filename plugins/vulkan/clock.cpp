// vks.clock/1: timestamps around a stream's submissions, and where they lie on the host's clock.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "plugins/vulkan/stream.h"

namespace vks::vulkan {
namespace {

// Both clocks read at once.
struct Moment {
    uint64_t device = 0, host_ns = 0, deviation_ns = 0;
};

// The extension's two names have one signature.
template <class F>
F entry(const vks_device& device, const std::string& name) {
    const bool khr = std::strstr(device.gpu.calibrated_clock, "KHR") != nullptr;
    return reinterpret_cast<F>(vkGetDeviceProcAddr(device.handle, (name + (khr ? "KHR" : "EXT")).c_str()));
}

std::optional<Moment> both_clocks(const vks_device& device) {
    if (!device.gpu.calibrated_clock) return std::nullopt;
    const auto read = entry<PFN_vkGetCalibratedTimestampsEXT>(device, "vkGetCalibratedTimestamps");
    std::array<VkCalibratedTimestampInfoEXT, 2> which{};
    for (VkCalibratedTimestampInfoEXT& w : which) w.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT;
    which[0].timeDomain = VK_TIME_DOMAIN_DEVICE_EXT;
    which[1].timeDomain = VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT;
    std::array<uint64_t, 2> now{};
    uint64_t deviation = 0;
    if (!read || read(device.handle, 2, which.data(), now.data(), &deviation) != VK_SUCCESS) return std::nullopt;
    return Moment{now[0], now[1], deviation};
}

vks_status enable(vks_stream* stream, uint64_t on, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!stream) throw Failure(VKS_INVALID, "found a null argument");
        stream->time(on != 0);
        return vks_status{VKS_OK};
    });
}

vks_status last(vks_stream* stream, vks_span* out, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!stream || !out) throw Failure(VKS_INVALID, "found a null argument");
        vks_span full = stream->last_span();
        full.size = out->size;
        std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
        return vks_status{VKS_OK};
    });
}

}  // namespace

extern constinit const vks_clock_api kClockApi = {.size = sizeof(vks_clock_api), .enable = enable, .last = last};

}  // namespace vks::vulkan

using namespace vks::vulkan;

void vks_stream::time(bool on) {
    if (on && device.gpu.timestamp_bits == 0) throw Failure(VKS_UNSUPPORTED, "the device's queue has no clock");
    timed_ = on;
}

vks_span vks_stream::last_span() const {
    if (!last_times_) throw Failure(VKS_INVALID, "clock: found no submission that was timed");
    std::array<uint64_t, 2> ticks{};
    const VkResult result = device.vk.vkGetQueryPoolResults(device.handle, last_times_, 0, 2, sizeof ticks,
                                                            ticks.data(), sizeof ticks[0], VK_QUERY_RESULT_64_BIT);
    if (result == VK_NOT_READY) throw Failure(VKS_INVALID, "clock: the last submission isn't done");
    device.check(result, "vkGetQueryPoolResults");
    // Counters wrap around at their number of bits; so do differences.
    const uint64_t mask = device.gpu.timestamp_bits >= 64 ? UINT64_MAX : (uint64_t{1} << device.gpu.timestamp_bits) - 1;
    const auto ns = [&](uint64_t from, uint64_t to) {
        return uint64_t(double((to - from) & mask) * double(device.gpu.properties.limits.timestampPeriod));
    };
    vks_span span{};
    span.ns = ns(ticks[0], ticks[1]);
    if (const auto now = both_clocks(device)) {
        span.begin = now->host_ns - ns(ticks[0], now->device & mask);
        span.deviation_ns = now->deviation_ns;
    }
    return span;
}
