// A device made by the test itself: its answers are set by hand, its memory is the host's, its work does nothing. For
// planner and registry tests that no real plugin's answers should influence.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/registry/device.h"

namespace vks::test {

struct Fake {
    std::string id = "fake";
    uint64_t memory_bytes_per_s = 0, link_bytes_per_s = 0, flags = 0, alignment = 64;
    bool mappable = true;  // DEVICE buffers have a host address; HOST ones always have
    bool imports = true;
    vks_status await = VKS_OK;  // of every await

    std::function<bool(uint64_t bytes)> room;  // whether there is some for a DEVICE buffer; not set: always
    uint64_t bytes_free = uint64_t{1} << 40, max_buffer = bytes_free;  // what it says
    uint64_t held = 0;                                                 // in DEVICE buffers

    // What query answers about "rms_norm/1"; not set: OK, and est_ns 0. `support` comes in as that answer.
    std::function<void(const vks_op& op, Support& support)> query;
    // Status and reason of a prepare; not set: OK.
    std::function<vks_status(const vks_op& op, std::string& reason)> prepare;
    std::function<vks_status(std::string& reason)> finish;  // of a kernel that was still being compiled
    std::function<vks_status(std::string& reason)> launch;

    // What the core did, in order: "buffer 512 device", "copy 64 -> 65536", "prepare rms_norm/1", "launch rms_norm/1",
    // "submit".
    std::vector<std::string> log;
    int alive = 0;  // objects not yet destroyed
};

// The fake must outlive the device. Not thread-safe.
std::unique_ptr<Device> open(Fake& fake);

}  // namespace vks::test
