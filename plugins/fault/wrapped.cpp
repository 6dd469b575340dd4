#include "plugins/fault/wrapped.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "plugins/args/options.h"

namespace vks::fault {
namespace {

// Where the library of plugin `name` may be.
std::vector<std::filesystem::path> places(const std::string& name) {
    if (name.find('/') != std::string::npos) return {name};
    Dl_info here{};
    dladdr(reinterpret_cast<const void*>(&places), &here);
    const auto folder = std::filesystem::path(here.dli_fname ? here.dli_fname : ".").parent_path();
    const std::string file = "libvkseek_" + name + ".so";
    return {folder / file, folder / "../plugins" / file};
}

Wrapped shake_hands(void* library, const std::string& path) {
    const auto* entry = static_cast<const vks_entry*>(dlsym(library, "vks_plugin_entry"));
    if (!entry || std::memcmp(entry->magic, VKS_ABI_MAGIC, sizeof entry->magic) != 0 || entry->major != VKS_ABI_MAJOR)
        return {nullptr, path + ": wanted a plugin of this interface"};
    vks_error error{};
    const vks_plugin* plugin =
        entry->negotiate(VKS_ABI_MAJOR, std::min<uint32_t>(VKS_ABI_MINOR, entry->minor_max), &error);
    return {plugin, plugin ? "" : path + ": " + error.text};
}

}  // namespace

std::string environment() {
    const char* text = std::getenv("VKSEEK_FAULT");
    return text ? text : "";
}

Wrapped wrapped() {
    std::string name = args::parse_options(environment().c_str())["plugin"];
    if (name.empty()) name = "cpu";
    std::error_code ignored;
    for (const auto& path : places(name)) {
        if (!std::filesystem::exists(path, ignored)) continue;
        void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library) return shake_hands(library, path);
        const char* reason = dlerror();
        return {nullptr, reason ? reason : path.string() + ": dlopen failed"};
    }
    return {nullptr, "plugin " + name + ": wanted its library beside this one or as a path, found none"};
}

}  // namespace vks::fault
