// Opens one plugin library and shakes hands with it. Refuses with a reason; never trusts a table it has not checked.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "backend/abi/plugin.hpp"
#include "backend/base/result.h"

namespace vks {

// A library that was looked at. Accepted when `table` is set, else `refusal` says why not (one line).
struct PluginFile {
    std::filesystem::path path;
    std::string refusal;
    const vks_plugin* table = nullptr;  // lives until exit: a library is never unmapped, driver threads may outlive it
    uint32_t abi_major = 0, abi_minor = 0;
    std::string name, build;
    std::vector<std::string> ops;  // "name/revision"
};

// kPrivate: from a copy of the file as it is now, so that it is another library than one loaded from the same path
// before, with globals of its own, and stays what it is when the file changes.
enum class Load { kFile, kPrivate };

// Thread-safe. Never throws; a library's constructors have run by the time its entry is refused.
PluginFile load_plugin(const std::filesystem::path& path, Load from = Load::kFile);

// The plugin's table for an extension of abi/draft/, which is a size and then functions, `bytes` in all as the core
// knows it. Null: not offered, or nothing that can be called.
const void* find_extension(const vks_plugin& plugin, const char* id, uint64_t bytes);

// The plugin libraries (libvkseek_*.so) in `dirs`, in order, sorted by name within each; a file name seen in an earlier
// directory hides later ones.
std::vector<std::filesystem::path> find_plugins(const std::vector<std::filesystem::path>& dirs);

}  // namespace vks
