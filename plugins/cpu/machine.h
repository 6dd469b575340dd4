// What the machine offers this process: processor, memory, limits of its control group. Linux; elsewhere the limits are
// unknown and the defaults stand. `root`: where /proc and /sys are; a test has some of its own.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace vks::cpu {

// The processor's model name, or the architecture's. At most 100 characters.
std::string processor_name();

// Bytes this process may use in all and could still get: the system's or the control group's, whichever is less. What
// files that were read take can be got.
struct Memory {
    uint64_t total = 0, available = 0;
};
Memory memory(const std::filesystem::path& root = "/");

// Cores granted by the control group's CPU quota, rounded up; 0: no quota.
int quota_cores(const std::filesystem::path& root = "/");

}  // namespace vks::cpu
