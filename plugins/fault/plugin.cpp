// A plugin that wraps another one and fails on command, for tests of whatever has to live with failing devices. What it
// is told is in README.md. Exceptions get out of it on purpose.
#include <memory>

#include "plugins/fault/device.h"
#include "plugins/fault/wrapped.h"

namespace vks::fault {
namespace {

using abi::fail;

vks_status no_plugin(const Wrapped& behind, vks_error* error) {
    return fail(error, VKS_INVALID, "VKSEEK_FAULT: %s", behind.problem.c_str());
}

vks_status enumerate(uint32_t index, vks_info* out, vks_error* error) {
    const Wrapped behind = wrapped();
    if (!behind.plugin) return no_plugin(behind, error);
    return describe(out, [&](vks_info* inner) { return behind.plugin->enumerate(index, inner, error); });
}

// Options: those of README.md, over those of $VKSEEK_FAULT; all go to the wrapped plugin, too.
vks_status open(const vks_host* host, uint32_t index, const char* options, vks_device** out, vks_error* error) {
    const Wrapped behind = wrapped();
    if (!behind.plugin) return no_plugin(behind, error);
    const std::string given = options ? options : "";
    Fault fault;
    std::string problem = read(environment(), fault);
    if (problem.empty()) problem = read(given, fault);
    if (!problem.empty()) return fail(error, VKS_INVALID, "VKSEEK_FAULT: %s", problem.c_str());
    auto device = std::make_unique<vks_device>(std::move(fault));
    device->plugin = behind.plugin;
    device->api = behind.plugin->device;
    const vks_status status = behind.plugin->open(host, index, given.c_str(), &device->inner, error);
    *out = status == VKS_OK ? device.release() : nullptr;
    return status;
}

void close(vks_device* device) {
    must_not_hang(*device, "the device");
    device->plugin->close(device->inner);
    delete device;
}

// The wrapped plugin's tables want its own handles.
const void* extension(const char*) {
    return nullptr;
}

const vks_plugin* negotiate(uint32_t major, uint32_t, vks_error* error) noexcept {
    static const Wrapped behind = wrapped();
    if (!behind.plugin) {
        fail(error, VKS_UNSUPPORTED, "VKSEEK_FAULT: %s", behind.problem.c_str());
        return nullptr;
    }
    static const vks_plugin plugin = {
        .size = sizeof(vks_plugin),
        .major = VKS_ABI_MAJOR,
        .minor = VKS_ABI_MINOR,
        .name = "fault",
        .build = "1",
        .ops = behind.plugin->ops,
        .device = &kDeviceApi,
        .enumerate = enumerate,
        .open = open,
        .close = close,
        .extension = extension,
    };
    if (major == VKS_ABI_MAJOR) return &plugin;
    fail(error, VKS_UNSUPPORTED, "interface version: wanted %u, found %u", VKS_ABI_MAJOR, major);
    return nullptr;
}

}  // namespace
}  // namespace vks::fault

extern "C" VKS_EXPORT const vks_entry vks_plugin_entry = {
    sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, vks::fault::negotiate,
};
