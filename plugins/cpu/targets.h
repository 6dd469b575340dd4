// Which Highway target the vector versions run on.
#pragma once
#include <string>

#include "backend/abi/plugin.hpp"

namespace vks::cpu {

// The best instruction set the vector versions may use here: "avx3_zen4", "neon".
std::string best_target();

// Keeps Highway to the target `name` and lesser ones, or ("") lifts that. INVALID for a name this machine lacks. It
// concerns the whole process, so the last call decides: meant for tests and comparisons. Thread-safe.
vks_status limit_target(const std::string& name, vks_error* error);

}  // namespace vks::cpu
