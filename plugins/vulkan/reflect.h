// What a compiled shader says of itself, so that host code repeats none of it.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace vks::vulkan {

struct Reflection {
    struct Binding {
        bool used = false, read_only = false;
    };
    std::vector<Binding> bindings;              // storage buffers of set 0, by number
    uint32_t push_bytes = 0;                    // 0: no push constants
    std::map<std::string, uint32_t> constants;  // specialization constants: name → id
    std::vector<uint32_t> capabilities;         // SpvCapability
};

// Throws Failure if the words are no SPIR-V. Reads within the words only.
Reflection reflect(std::span<const uint32_t> words);

}  // namespace vks::vulkan
