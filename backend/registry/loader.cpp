#include "backend/registry/loader.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "backend/base/bad_input.h"
#include "backend/base/file_map.h"
#include "backend/registry/address_space.h"
#include "backend/registry/device.h"
#include "backend/registry/elf.h"

namespace vks {
namespace {

constexpr size_t kMaxOps = 4096;
constexpr size_t kMaxName = 31;
constexpr size_t kMaxOpId = 64;
constexpr size_t kMaxBuild = 255;

// Where the fields of version 1.0 end, however long the structs are today: no plugin has less.
constexpr uint64_t kEntrySize = offsetof(vks_entry, negotiate) + sizeof(vks_entry::negotiate);
constexpr uint64_t kPluginSize = offsetof(vks_plugin, extension) + sizeof(vks_plugin::extension);
constexpr uint64_t kDeviceApiSize = offsetof(vks_device_api, fence_destroy) + sizeof(vks_device_api::fence_destroy);
constexpr uint64_t kMaxTable = 1 << 16;  // no table of any future minor is longer: a lying size is refused

// A function that is there and points at code.
template <class F>
void require(std::string& problem, const AddressSpace& memory, F* function, const char* name) {
    if (!problem.empty()) return;
    const auto* address = reinterpret_cast<const void*>(function);
    if (!function) problem = fmt::format("{} is missing", name);
    if (function && !memory.runnable(address)) problem = fmt::format("{}: wanted a function, found {}", name, address);
}

std::string check_entry(const vks_entry& e) {
    if (std::memcmp(e.magic, VKS_ABI_MAGIC, sizeof e.magic) != 0)
        return "vks_plugin_entry: wanted magic " VKS_ABI_MAGIC ", found other bytes";
    if (e.major != VKS_ABI_MAJOR) return fmt::format("ABI version: wanted major {}, found {}", VKS_ABI_MAJOR, e.major);
    if (e.size < kEntrySize || e.size > kMaxTable)
        return fmt::format("vks_plugin_entry: wanted a size from {}, found {}", kEntrySize, e.size);
    if (e.minor_min > VKS_ABI_MINOR || e.minor_max < e.minor_min)
        return fmt::format("ABI version: wanted minor {} or less, found {} to {}", VKS_ABI_MINOR, e.minor_min,
                           e.minor_max);
    std::string problem;
    require(problem, AddressSpace(), e.negotiate, "vks_plugin_entry: negotiate");
    return problem;
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

// A table that begins with its size: at least `wanted` bytes, all of which can be read.
std::string check_size(const AddressSpace& memory, const char* name, const void* table, uint64_t wanted) {
    if (memory.readable(table) < wanted || reinterpret_cast<uintptr_t>(table) % alignof(uint64_t) != 0)
        return fmt::format("{}: wanted an address, found {}", name, table);
    const uint64_t size = *static_cast<const uint64_t*>(table);
    if (size < wanted || size > kMaxTable)
        return fmt::format("{}: wanted a size from {}, found {}", name, wanted, size);
    return {};
}

std::string check_functions(const AddressSpace& memory, const vks_plugin& p) {
    const vks_device_api& d = *p.device;
    std::string problem;
    const auto need = [&](auto* function, const char* name) { require(problem, memory, function, name); };
    need(p.enumerate, "enumerate");
    need(p.open, "open");
    need(p.close, "close");
    need(d.info, "info");
    need(d.buffer_create, "buffer_create");
    need(d.buffer_destroy, "buffer_destroy");
    need(d.buffer_map, "buffer_map");
    need(d.query, "query");
    need(d.packed_bytes, "packed_bytes");
    need(d.prepare, "prepare");
    need(d.kernel_destroy, "kernel_destroy");
    need(d.stream_create, "stream_create");
    need(d.stream_destroy, "stream_destroy");
    need(d.copy, "copy");
    need(d.launch, "launch");
    need(d.wait, "wait");
    need(d.submit, "submit");
    need(d.fence_create, "fence_create");
    need(d.fence_await, "fence_await");
    need(d.fence_destroy, "fence_destroy");
    return problem;
}

// The minor is of the header that the plugin was built with; a later one only adds to what is asked of it here.
std::string check_table(const AddressSpace& memory, const vks_plugin* table) {
    std::string problem = check_size(memory, "plugin table", table, kPluginSize);
    if (!problem.empty()) return problem;
    const vks_plugin& p = *table;
    if (p.major != VKS_ABI_MAJOR) return fmt::format("plugin table: wanted major {}, found {}", VKS_ABI_MAJOR, p.major);
    if (memory.readable(p.name) == 0 || memory.readable(p.build) == 0 || memory.readable(p.ops) == 0 ||
        reinterpret_cast<uintptr_t>(p.ops) % alignof(const char*) != 0)
        return "plugin table: name, build or ops is missing or no address";
    const std::string name = memory.text(p.name, kMaxName + 1);
    if (name.size() > kMaxName || !is_name(name))
        return fmt::format("plugin name: wanted [a-z0-9_]{{1,31}}, found {:.40}",
                           plugin_text(name.data(), name.size()));
    if (!p.device) return "plugin table: device is missing";
    problem = check_size(memory, "device table", p.device, kDeviceApiSize);
    return problem.empty() ? check_functions(memory, p) : problem;
}

std::string read_ops(const AddressSpace& memory, const vks_plugin& p, std::vector<std::string>& ops) {
    const size_t there = std::min(kMaxOps, memory.readable(p.ops) / sizeof *p.ops);
    for (size_t i = 0; i < there; ++i) {
        if (!p.ops[i]) return {};
        std::string id = memory.text(p.ops[i], kMaxOpId);
        if (id.size() == kMaxOpId || !is_op_id(id))
            return fmt::format("ops: wanted name/revision, found {:.40}", plugin_text(id.data(), id.size()));
        ops.push_back(std::move(id));
    }
    return fmt::format("ops: wanted a NULL within {} entries, found none", kMaxOps);
}

// The file as it is now; dlopen has to cope with one that changes in between.
Status look_at_file(const std::filesystem::path& path) {
    VKS_ASSIGN(const FileMap file, FileMap::open(path));
    return look_at_elf({file.data(), file.size()});
}

Status write_all(int fd, const std::byte* data, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        const ssize_t n = write(fd, data + at, bytes - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return Error{Code::kNoBackend, fmt::format("a copy of {} bytes in memory: {}", bytes, strerror(errno))};
        at += size_t(n);
    }
    return {};
}

Result<void*> open_file(const std::filesystem::path& path) {
    VKS_TRY(look_at_file(path));
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* reason = dlerror();
    return Error{Code::kNoBackend, reason ? plugin_text(reason, 1024) : "dlopen failed"};
}

Result<void*> open_library(const std::filesystem::path& path, Load from) {
    if (from == Load::kFile) return open_file(path);
    VKS_ASSIGN(const FileMap file, FileMap::open(path));
    const int fd = memfd_create("plugin", MFD_CLOEXEC);
    if (fd < 0) return Error{Code::kNoBackend, fmt::format("a file in memory: {}", strerror(errno))};
    const Status copied = write_all(fd, file.data(), file.size());
    Result<void*> library = copied ? open_file(fmt::format("/proc/self/fd/{}", fd)) : copied.error();
    // An open library keeps its descriptor: the loader knows it by this path, which must never be another's.
    if (!library) close(fd);
    return library;
}

}  // namespace

PluginFile load_plugin(const std::filesystem::path& path, Load from) {
    PluginFile file;
    file.path = path;
    const auto opened = open_library(path, from);
    if (!opened) {
        file.refusal = one_line(opened.error().text);
        return file;
    }
    void* library = *opened;
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
    const AddressSpace memory;
    file.refusal = check_table(memory, table);
    if (file.refusal.empty()) file.refusal = read_ops(memory, *table, file.ops);
    if (!file.refusal.empty()) return file;
    file.table = table;
    file.abi_major = table->major;
    file.abi_minor = std::min(minor, table->minor);
    file.name = table->name;
    const std::string build = memory.text(table->build, kMaxBuild);
    file.build = plugin_text(build.data(), build.size());
    return file;
}

const void* find_extension(const vks_plugin& plugin, const char* id, uint64_t bytes) {
    const AddressSpace memory;
    if (!plugin.extension || !memory.runnable(reinterpret_cast<const void*>(plugin.extension))) return nullptr;
    const void* table = nullptr;
    abi::guard(nullptr, [&] {
        table = plugin.extension(id);
        return vks_status{VKS_OK};
    });
    if (!table || !check_size(memory, id, table, bytes).empty()) return nullptr;
    for (uint64_t at = sizeof(uint64_t); at < bytes; at += sizeof(void*)) {
        const void* function = nullptr;
        std::memcpy(&function, static_cast<const std::byte*>(table) + at, sizeof function);
        if (!memory.runnable(function)) return nullptr;
    }
    return table;
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
