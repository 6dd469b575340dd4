// The plugin behind this one: opened by its path, or by its name beside this library and in the folder of plugins.
#pragma once
#include <string>

#include "backend/abi/plugin.hpp"

namespace vks::fault {

struct Wrapped {
    const vks_plugin* plugin = nullptr;
    std::string problem;  // why there is none
};

// The one that $VKSEEK_FAULT names; "cpu" where it names none. Thread-safe; a library stays open until exit.
Wrapped wrapped();

// $VKSEEK_FAULT, or nothing.
std::string environment();

}  // namespace vks::fault
