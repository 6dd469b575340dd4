// The objects behind the handles: each has the wrapped plugin's beside it. Buffers are the wrapped plugin's own.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include "backend/abi/plugin.hpp"
#include "plugins/fault/fault.h"

// A handle called `inner` is the wrapped plugin's: of the same type for the compiler, and never looked into.
struct vks_device {
    explicit vks_device(vks::fault::Fault fault) : counter(std::move(fault)) {}

    const vks_plugin* plugin = nullptr;  // the wrapped one
    const vks_device_api* api = nullptr;
    vks_device* inner = nullptr;
    vks::fault::Counter counter;
    std::atomic<bool> lost{false}, hangs{false};
};

struct vks_kernel {
    vks_device* device = nullptr;
    vks_kernel* inner = nullptr;
    std::string op;  // "mla_attention/1"
};

struct vks_stream {
    vks_device* device = nullptr;
    vks_stream* inner = nullptr;
    bool launched = false;  // since the last submit
    bool hangs = false;     // nothing gets through any more
    std::string fails;      // the operator whose error is to come out of the next fence
};

struct vks_fence {
    vks_device* device = nullptr;
    vks_fence* inner = nullptr;
    std::mutex mutex;  // guards the rest
    uint64_t hangs_from = UINT64_MAX;
    uint64_t fails_from = UINT64_MAX;
    std::string fails;
};

namespace vks::fault {

// Fills what `size` covers of *out with what `ask` says of the wrapped device. Never one for "auto": software, and no
// fallback for anything.
template <class Ask>
vks_status describe(vks_info* out, Ask&& ask) {
    vks_info full{};
    full.size = sizeof full;
    if (const vks_status status = ask(&full)) return status;
    const std::string name = full.name, detail = full.detail;
    std::snprintf(full.name, sizeof full.name, "fault around %.100s", name.c_str());
    std::snprintf(full.detail, sizeof full.detail, "fails on command; %.230s", detail.c_str());
    full.flags = (full.flags | VKS_DEVICE_SOFTWARE) & ~uint64_t{VKS_DEVICE_FALLBACK};
    full.size = out->size;
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
    return VKS_OK;
}

// A device that hangs may still be using everything: to take it away is to have memory written that is another's by
// now. Drivers don't notice; this one ends the program.
void must_not_hang(const vks_device& device, const char* what);

// What the error is to do, as a status; throws for kThrow.
vks_status strike(vks_device& device, const char* what, vks_error* error);
// A launch was made and its numbers are to be no good.
vks_status spoil(vks_stream& stream, const vks_tensor* args, uint64_t count, vks_error* error);

extern const vks_device_api kDeviceApi;

}  // namespace vks::fault
