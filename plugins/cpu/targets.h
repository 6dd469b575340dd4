// Which Highway target the vector versions run on.
#pragma once
#include <string>

#include "backend/abi/plugin.hpp"

namespace vks::cpu {

// The best instruction set the vector versions may use now: "avx3_zen4", "neon".
std::string best_target();

// For a device that is opened: keeps Highway to the target `name` and lesser ones. "": what devices that are open have,
// or without any the machine's best. It concerns the whole process, and kernels are prepared for it, so it only changes
// while no device is open: meant for tests and comparisons. INVALID, and nothing is changed or held, for a name this
// machine lacks, and for another one than open devices have. Thread-safe.
vks_status hold_target(const std::string& name, vks_error* error);
// For each hold_target that returned OK, once. Thread-safe.
void release_target();

}  // namespace vks::cpu
