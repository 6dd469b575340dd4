// The text that opens a device (docs/vulkan.md has what each option is for).
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace vks::vulkan {

// What isn't given is as the device has it.
struct Options {
    std::optional<uint64_t> tier;  // at most
    std::optional<bool> software;  // tune: shapes as for a device run by the CPU, or for others
    bool addresses = true, numbers = true, budget = true, statistics = false;
    std::optional<bool> import;
    std::optional<bool> fp8_by_half;
    std::optional<uint64_t> binding, buffers, submission;
    std::string refuse;  // a shader, "gemm" or "gemm.coopmat", that no pipeline can be made of; empty: none
};

// "key=value;key=value". The caller's may hold other plugins' keys; those of VKSEEK_VULKAN_OPTIONS (`environment`) are
// all for this one, come after, and win. Throws INVALID, naming the option.
Options read_options(const std::string& given, const std::string& environment);

}  // namespace vks::vulkan
