#include "backend/registry/loader.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "backend/base/bad_input.h"
#include "backend/base/file_map.h"
#include "backend/registry/device.h"
#include "backend/registry/elf.h"

namespace vks {
namespace {

constexpr size_t kMaxOps = 4096;
constexpr size_t kMaxName = 31;

// Fields of version 1.0 end here; a plugin with less is older than any release.
constexpr uint64_t kEntrySize = sizeof(vks_entry);
constexpr uint64_t kPluginSize = sizeof(vks_plugin);
constexpr uint64_t kDeviceApiSize = sizeof(vks_device_api);
constexpr uint64_t kMaxTable = 1 << 16;  // no table of any future minor is longer: a lying size is refused

std::string check_entry(const vks_entry& e) {
    if (std::memcmp(e.magic, VKS_ABI_MAGIC, sizeof e.magic) != 0)
        return "vks_plugin_entry: wanted magic " VKS_ABI_MAGIC ", found other bytes";
    if (e.major != VKS_ABI_MAJOR) return fmt::format("ABI version: wanted major {}, found {}", VKS_ABI_MAJOR, e.major);
    if (e.size < kEntrySize || e.size > kMaxTable)
        return fmt::format("vks_plugin_entry: wanted a size from {}, found {}", kEntrySize, e.size);
    if (e.minor_min > VKS_ABI_MINOR || e.minor_max < e.minor_min)
        return fmt::format("ABI version: wanted minor {} or less, found {} to {}", VKS_ABI_MINOR, e.minor_min,
                           e.minor_max);
    if (!e.negotiate) return "vks_plugin_entry: negotiate is missing";
    return {};
}

bool is_name(std::string_view text) {
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    return !text.empty() && std::all_of(text.begin(), text.end(), plain);
}

// "rms_norm/1"
bool is_op_id(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos || !is_name(text.substr(0, slash))) return false;
    const std::string_view revision = text.substr(slash + 1);
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return !revision.empty() && std::all_of(revision.begin(), revision.end(), digit);
}

template <class F>
void require(std::string& missing, F* function, const char* name) {
    if (!function && missing.empty()) missing = fmt::format("{} is missing", name);
}

std::string check_table(const vks_plugin& p, uint32_t minor) {
    if (p.size < kPluginSize || p.size > kMaxTable)
        return fmt::format("plugin table: wanted a size from {}, found {}", kPluginSize, p.size);
    if (p.major != VKS_ABI_MAJOR || p.minor > minor)
        return fmt::format("plugin table: wanted version {}.{}, found {}.{}", VKS_ABI_MAJOR, minor, p.major, p.minor);
    if (!p.name || !p.build || !p.ops) return "plugin table: name, build or ops is missing";
    const size_t length = strnlen(p.name, kMaxName + 1);
    if (length > kMaxName || !is_name({p.name, length}))
        return "plugin name: wanted [a-z0-9_]{1,31}, found other characters";
    if (!p.device) return "plugin table: device is missing";
    const vks_device_api& d = *p.device;
    if (d.size < kDeviceApiSize || d.size > kMaxTable)
        return fmt::format("device table: wanted a size from {}, found {}", kDeviceApiSize, d.size);
    std::string missing;
    require(missing, p.enumerate, "enumerate");
    require(missing, p.open, "open");
    require(missing, p.close, "close");
    require(missing, d.info, "info");
    require(missing, d.buffer_create, "buffer_create");
    require(missing, d.buffer_destroy, "buffer_destroy");
    require(missing, d.buffer_map, "buffer_map");
    require(missing, d.query, "query");
    require(missing, d.packed_bytes, "packed_bytes");
    require(missing, d.prepare, "prepare");
    require(missing, d.kernel_destroy, "kernel_destroy");
    require(missing, d.stream_create, "stream_create");
    require(missing, d.stream_destroy, "stream_destroy");
    require(missing, d.copy, "copy");
    require(missing, d.launch, "launch");
    require(missing, d.wait, "wait");
    require(missing, d.submit, "submit");
    require(missing, d.fence_create, "fence_create");
    require(missing, d.fence_await, "fence_await");
    require(missing, d.fence_destroy, "fence_destroy");
    return missing;
}

std::string read_ops(const vks_plugin& p, std::vector<std::string>& ops) {
    for (size_t i = 0; p.ops[i]; ++i) {
        if (i == kMaxOps) return fmt::format("ops: wanted a NULL within {} entries, found none", kMaxOps);
        const size_t length = strnlen(p.ops[i], 64);
        const std::string_view id(p.ops[i], length);
        if (length == 64 || !is_op_id(id))
            return fmt::format("ops: wanted name/revision, found {:.40}", plugin_text(id.data(), length));
        ops.emplace_back(id);
    }
    return {};
}

// The file as it is now; dlopen has to cope with one that changes in between.
Status look_at_file(const std::filesystem::path& path) {
    VKS_ASSIGN(const FileMap file, FileMap::open(path));
    return look_at_elf({file.data(), file.size()});
}

}  // namespace

PluginFile load_plugin(const std::filesystem::path& path) {
    PluginFile file;
    file.path = path;
    if (const Status looked = look_at_file(path); !looked) {
        file.refusal = one_line(looked.error().text);
        return file;
    }
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char* reason = dlerror();
        file.refusal = reason ? plugin_text(reason, 1024) : "dlopen failed";
        return file;
    }
    const auto* entry = static_cast<const vks_entry*>(dlsym(library, "vks_plugin_entry"));
    if (!entry) {
        file.refusal = "wanted the symbol vks_plugin_entry, found none";
        return file;
    }
    file.refusal = check_entry(*entry);
    if (!file.refusal.empty()) return file;
    const uint32_t minor = std::min<uint32_t>(VKS_ABI_MINOR, entry->minor_max);
    vks_error error{};
    const vks_plugin* table = nullptr;
    abi::guard(&error, [&] {
        table = entry->negotiate(VKS_ABI_MAJOR, minor, &error);
        return vks_status{VKS_OK};
    });
    if (!table) {
        file.refusal = fmt::format("negotiate refused version {}.{}: {}", VKS_ABI_MAJOR, minor,
                                   plugin_text(error.text, sizeof error.text));
        return file;
    }
    file.refusal = check_table(*table, minor);
    if (file.refusal.empty()) file.refusal = read_ops(*table, file.ops);
    if (!file.refusal.empty()) return file;
    file.table = table;
    file.abi_major = table->major;
    file.abi_minor = table->minor;
    file.name = table->name;
    file.build = plugin_text(table->build, 255);
    return file;
}

std::vector<std::filesystem::path> find_plugins(const std::vector<std::filesystem::path>& dirs) {
    std::vector<std::filesystem::path> found;
    std::set<std::string> names;
    for (const auto& dir : dirs) {
        std::vector<std::filesystem::path> here;
        std::error_code error;  // a directory that is not there has no plugins
        for (auto item = std::filesystem::directory_iterator(dir, error); !error && item != end(item);
             item.increment(error)) {
            const std::string name = item->path().filename().string();
            if (name.starts_with("libvkseek_") && name.ends_with(".so")) here.push_back(item->path());
        }
        std::sort(here.begin(), here.end());
        for (auto& path : here)
            if (names.insert(path.filename().string()).second) found.push_back(std::move(path));
    }
    return found;
}

}  // namespace vks
