// The library's one exported symbol and what it leads to: the handshake, the list of operators, the devices.
#include <cstdlib>
#include <vector>

#include "plugins/vulkan/device.h"
#include "plugins/vulkan/findings.h"
#include "plugins/vulkan/kept_numbers.h"

#ifndef VKS_BUILD
#define VKS_BUILD "unversioned"
#endif

namespace vks::vulkan {
namespace {

// Without loader, driver or device there is one entry that says so.
vks_status enumerate(uint32_t index, vks_info* out, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!out) throw Failure(VKS_INVALID, "found a null argument");
        std::string reason;
        const std::span<const Gpu> all = gpus(reason);
        if (index < all.size()) {
            describe(all[index], out);
        } else if (index == 0) {
            Gpu none;
            std::snprintf(none.properties.deviceName, sizeof none.properties.deviceName, "none");
            none.unusable = reason;
            describe(none, out);
        } else {
            throw Failure(VKS_UNSUPPORTED, "vulkan: there are " + std::to_string(all.size()) + " devices");
        }
        return vks_status{VKS_OK};
    });
}

vks_status open(const vks_host*, uint32_t index, const char* options, vks_device** out, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!out) throw Failure(VKS_INVALID, "found a null argument");
        *out = nullptr;
        std::string reason;
        const std::span<const Gpu> all = gpus(reason);
        if (index >= all.size()) throw Failure(VKS_UNSUPPORTED, all.empty() ? reason : "vulkan: no such device");
        if (!all[index].unusable.empty()) throw Failure(VKS_UNSUPPORTED, all[index].unusable);
        const char* more = std::getenv("VKSEEK_VULKAN_OPTIONS");
        const Options read = read_options(options ? options : "", more ? more : "");
        *out = std::make_unique<vks_device>(all[index], read).release();
        return vks_status{VKS_OK};
    });
}

void close(vks_device* device) noexcept {
    delete device;
}

const void* extension(const char* id) noexcept {
    const std::string wanted = id ? id : "";
    if (wanted == VKS_STATS_ID) return &kStatsApi;
    if (wanted == VKS_CLOCK_ID) return &kClockApi;
    if (wanted == VKS_COMPILE_ID) return &kCompileApi;
    if (wanted == VKS_PROBE_ID) return &kProbeApi;
    if (wanted == VKS_SHADER_ID) return &kShaderApi;
    if (wanted == VKS_TUNING_ID) return &kTuningApi;
    if (wanted == VKS_FINDINGS_ID) return &kFindingsApi;
    return nullptr;
}

const vks_plugin* negotiate(uint32_t major, uint32_t minor, vks_error* error) noexcept {
    if (major != VKS_ABI_MAJOR || minor > VKS_ABI_MINOR) {
        abi::fail(error, VKS_UNSUPPORTED, "interface version: wanted %u.%u or less, found %u.%u", VKS_ABI_MAJOR,
                  VKS_ABI_MINOR, major, minor);
        return nullptr;
    }
    static const std::vector<const char*> ids = [] {
        std::vector<const char*> names;
        for (const Op* op : op_list()) names.push_back(op->id);
        names.push_back(nullptr);
        return names;
    }();
    static const vks_plugin plugin = {
        .size = sizeof(vks_plugin),
        .major = VKS_ABI_MAJOR,
        .minor = VKS_ABI_MINOR,
        .name = "vulkan",
        .build = VKS_BUILD,
        .ops = ids.data(),
        .device = &kDeviceApi,
        .enumerate = enumerate,
        .open = open,
        .close = close,
        .extension = extension,
    };
    return &plugin;
}

}  // namespace
}  // namespace vks::vulkan

extern "C" VKS_EXPORT const vks_entry vks_plugin_entry = {
    sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, vks::vulkan::negotiate,
};
