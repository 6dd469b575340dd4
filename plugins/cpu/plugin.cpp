// The library's one exported symbol and what it leads to: the handshake, the list of operators, the one device.
#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "backend/abi/draft/row_bits.h"
#include "plugins/args/options.h"
#include "plugins/cpu/device.h"
#include "plugins/cpu/op_list.h"
#include "plugins/cpu/probe.h"
#include "plugins/cpu/simd/gemm.h"
#include "plugins/cpu/targets.h"
#include "plugins/cpu/threads.h"

#ifndef VKS_BUILD
#define VKS_BUILD "unversioned"
#endif

namespace vks::cpu {
namespace {

using abi::fail;
using abi::guard;

constexpr int kMaxThreads = 1024;

vks_status enumerate(uint32_t index, vks_info* out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!out) return fail(error, VKS_INVALID, "found a null argument");
        if (index != 0) return fail(error, VKS_UNSUPPORTED, "cpu: there is one device");
        describe(out, usable_cores());
        return vks_status{VKS_OK};
    });
}

// What operators' variants are called; "plain" is the last. The vector ones have no name on a target that this build
// lacks.
std::vector<std::string> variant_names() {
    std::vector<std::string> names;
    for (const Op* op : op_list())
        for (const Variant* variant : op->variants) {
            const char* name = variant->name ? variant->name : variant->dynamic_name();
            if (!name || std::string_view(name) == "plain") continue;
            if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
        }
    std::sort(names.begin(), names.end());
    names.emplace_back("plain");
    return names;
}

// A target that is held until a device has it.
struct Held {
    Held() = default;
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() {
        if (!kept) release_target();
    }
    bool kept = false;
};

// Options: threads=N (default: one per usable core), variant=auto|plain|NAME, target=auto|NAME (one for all devices
// that are open).
vks_status open(const vks_host*, uint32_t index, const char* options, vks_device** out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (!out) return fail(error, VKS_INVALID, "found a null argument");
        *out = nullptr;
        if (index != 0) return fail(error, VKS_UNSUPPORTED, "cpu: there is one device");
        auto parsed = args::parse_options(options);
        int threads = usable_cores();
        if (const std::string& text = parsed["threads"]; !text.empty()) {
            const char* end = text.data() + text.size();
            const auto [stop, status] = std::from_chars(text.data(), end, threads);
            if (status != std::errc() || stop != end || threads < 1 || threads > kMaxThreads) {
                return fail(error, VKS_INVALID, "threads: wanted 1 to %d, found %.64s", kMaxThreads, text.c_str());
            }
        }
        const std::string &target = parsed["target"], &variant = parsed["variant"];
        const bool targeted = !target.empty() && target != "auto";
        const bool chosen = !variant.empty() && variant != "auto";
        auto device = std::make_unique<vks_device>(threads);
        device->portable_only = targeted;
        if (chosen) device->variant = variant;
        if (const vks_status status = hold_target(targeted ? target : "", error); status != VKS_OK) return status;
        Held held;
        // Some are called what the target is.
        const std::vector<std::string> names = chosen ? variant_names() : std::vector<std::string>();
        if (chosen && std::find(names.begin(), names.end(), variant) == names.end()) {
            std::string known = "auto";
            for (const std::string& name : names) known += ", " + name;
            return fail(error, VKS_INVALID, "variant: wanted one of %.120s, found %.64s", known.c_str(),
                        variant.c_str());
        }
        held.kept = true;
        *out = device.release();
        return vks_status{VKS_OK};
    });
}

void close(vks_device* device) noexcept {
    if (device) release_target();
    delete device;
}

constexpr vks_row_bits kRowBits = {sizeof(vks_row_bits), [] { return uint64_t{simd::kMaxDirect}; }};

const void* extension(const char* id) noexcept {
    if (!id) return nullptr;
    if (std::string_view(id) == VKS_ROW_BITS_ID) return &kRowBits;
    if (std::string_view(id) == VKS_THREADS_ID) return &kThreadsApi;
    return std::string_view(id) == VKS_PROBE_ID ? &kProbeApi : nullptr;
}

const vks_plugin* negotiate(uint32_t major, uint32_t minor, vks_error* error) noexcept {
    if (major != VKS_ABI_MAJOR || minor > VKS_ABI_MINOR) {
        fail(error, VKS_UNSUPPORTED, "interface version: wanted %u.%u or less, found %u.%u", VKS_ABI_MAJOR,
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
        .name = "cpu",
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
}  // namespace vks::cpu

extern "C" VKS_EXPORT const vks_entry vks_plugin_entry = {
    sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, vks::cpu::negotiate,
};
