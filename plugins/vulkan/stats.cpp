// vks.stats/1: the counts of device, memory and pipelines.
#include <algorithm>
#include <cstring>

#include "plugins/vulkan/device.h"

namespace vks::vulkan {
namespace {

vks_status read(vks_device* device, vks_stats* out, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!device || !out) throw Failure(VKS_INVALID, "found a null argument");
        vks_stats full{};
        full.size = out->size;
        full.pipelines = device->pipelines->created();
        full.pipelines_compiled = device->pipelines->compiled();
        full.allocations = device->heap->allocations();
        full.recordings = device->recordings;
        full.submits = device->submits;
        full.dispatches = device->dispatches;
        full.barriers = device->barriers;
        full.last_dispatches = device->last_dispatches;
        full.last_barriers = device->last_barriers;
        std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
        return vks_status{VKS_OK};
    });
}

}  // namespace

extern constinit const vks_stats_api kStatsApi = {.size = sizeof(vks_stats_api), .read = read};

}  // namespace vks::vulkan
