// What the machine offers this process: processor, memory, limits of its control group. Linux; elsewhere the limits are
// unknown and the defaults stand.
#pragma once
#include <cstdint>
#include <string>

namespace vks::cpu {

// The processor's model name, or the architecture's. At most 100 characters.
std::string processor_name();

// Bytes this process may use in all and could still get: the system's or the control group's, whichever is less.
struct Memory {
    uint64_t total = 0, available = 0;
};
Memory memory();

// Cores granted by the control group's CPU quota, rounded up; 0: no quota.
int quota_cores();

}  // namespace vks::cpu
