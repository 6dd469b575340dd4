// The machine's Vulkan devices before one is opened: what each is, what it can do, why it can't be used.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "plugins/vulkan/tuning.h"
#include "plugins/vulkan/vk.h"

namespace vks::vulkan {

// A device's cooperative matrices with sums in f32: m x k times k x n, by subgroups of that many invocations.
struct MatrixShape {
    uint32_t m = 0, n = 0, k = 0, subgroup = 0;
    bool ask = false;  // for subgroups of that size, as there are others

    explicit operator bool() const { return m != 0; }
    std::string text() const { return std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k); }
};

// What a device offers to operators. Limits are Vulkan's; everything optional is off where the device lacks it.
struct Caps {
    uint32_t subgroup = 1;             // invocations
    bool subgroup_arithmetic = false;  // in compute shaders, and broadcasts
    bool float16 = false;              // arithmetic
    bool storage16 = false, storage8 = false;
    bool int64 = false;        // integers
    bool addresses = false;    // buffer device addresses
    bool integer_dot = false;  // reported accelerated
    MatrixShape matrix;        // of f16; none: no cooperative matrices that shaders here could use
    MatrixShape matrix8;       // of e4m3, beside those; tried when the device is opened
    bool discrete = false;     // a card of its own
    bool software = false;     // run by the CPU: no barrier, no reduction across lanes pays
    uint32_t max_invocations = 256;
    uint32_t shared_bytes = 16384;
    uint32_t max_groups = 65535;  // per dimension: the smallest of the three
    uint32_t offset_alignment = 256;
    uint32_t max_buffers = 4;  // bound to a shader
    uint64_t max_binding = 0, max_allocation = 0;
    uint64_t submission = 0;   // operations to submit at once, about; 0: any number
    bool fp8_by_half = false;  // decoding e4m3 through f16 gives every value: tried when the device is opened
    Tuning tuning;
    // T0 ... T4 of docs/vulkan.md.
    int tier() const;
};

struct Gpu {
    VkPhysicalDevice handle = VK_NULL_HANDLE;
    VkPhysicalDeviceProperties properties{};
    std::string driver;                        // "llvmpipe, Mesa 22.3.6 (LLVM 15.0.6)"
    std::string unusable;                      // why, or empty
    std::array<uint8_t, VK_UUID_SIZE> uuid{};  // of device and driver together: caches are kept by it
    uint32_t queue_family = 0;
    VkDriverId driver_id{};
    uint64_t import_alignment = 0;  // of host memory the device can use where it lies; 0: none
    bool memory_budget = false, portability = false, pipeline_statistics = false;
    uint32_t timestamp_bits = 0;             // 0: the queue has no clock
    const char* calibrated_clock = nullptr;  // the extension that relates it to the host's; null: none
    Caps caps;                               // fp8_by_half not known yet
};

// Opens the loader and asks it once. Thread-safe; the result lives as long as the library. When there is none,
// `reason` says why in one line ("no Vulkan loader (libvulkan.so.1)").
std::span<const Gpu> gpus(std::string& reason);

// Fills what `size` covers of *out.
void describe(const Gpu& gpu, vks_info* out);

}  // namespace vks::vulkan
