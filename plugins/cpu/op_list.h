// The table of operators. op_list.cpp is generated from the names of the files ops/<op>.cpp (CMakeLists.txt).
#pragma once
#include <span>

#include "plugins/cpu/op.h"

namespace vks::cpu {

// All operators, by name. Thread-safe; lives as long as the library.
std::span<const Op* const> op_list();

}  // namespace vks::cpu
