// A plugin's device called through the bare table, the way the contract is written. Every call's status is kept, so
// that a check can say what came back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/abi/plugin.hpp"

namespace vks::conformance {

constexpr uint64_t kPatience = 20'000'000'000;  // ns for work that must end
constexpr std::byte kGuard{0xa5};               // around everything
constexpr std::byte kUndefined{0xff};           // NaN in every float format, -1 in integers

// "unsupported: <text>"
std::string describe(vks_status status, const vks_error& error);

class Target {
public:
    Target(const vks_plugin& plugin, uint32_t index, const std::string& options);
    ~Target();
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;

    bool ok() const { return device != nullptr; }
    uint64_t alignment() const { return info.alignment ? info.alignment : 64; }

    // Buffers live until the target goes. Null when creating failed; `error` then says why.
    vks_buffer* buffer(uint64_t bytes, uint32_t kind, void* import = nullptr);
    void destroy(vks_buffer* buffer);
    // Bytes in and out of any buffer, by way of a host buffer and copies. False: see `error`.
    bool write(vks_buffer* to, uint64_t offset, const void* from, uint64_t bytes);
    bool read(vks_buffer* from, uint64_t offset, void* to, uint64_t bytes);
    // Submits what is on the target's own stream and waits for it.
    bool finish();
    // Notes the status and returns whether it was OK.
    bool note(vks_status status);

    const vks_plugin& plugin;
    const vks_device_api& api;
    vks_device* device = nullptr;
    vks_info info{};
    vks_stream* stream = nullptr;
    vks_fence* fence = nullptr;
    uint64_t submitted = 0;
    vks_error error{};  // of the last call that has one
    vks_status status = 0;

private:
    std::vector<vks_buffer*> buffers_;
};

// A contiguous tensor of these dims at an offset.
vks_tensor tensor_at(uint32_t dtype, const std::vector<int64_t>& dims, vks_buffer* buffer, uint64_t offset);
vks_tensor bytes_at(uint64_t bytes, vks_buffer* buffer, uint64_t offset);

}  // namespace vks::conformance
