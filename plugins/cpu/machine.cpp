// Reads /proc and the control group files, version 2 and 1. An unreadable or odd file counts as "no limit".
#include "plugins/cpu/machine.h"

#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

namespace vks::cpu {
namespace {

namespace fs = std::filesystem;

// The first number of `text` after `skip` characters; "max" and other words give none.
std::optional<uint64_t> number(const std::string& text, size_t skip = 0) {
    size_t first = std::min(skip, text.size());
    while (first < text.size() && text[first] == ' ') ++first;
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + first, text.data() + text.size(), value);
    return error == std::errc() && end != text.data() + first ? std::optional(value) : std::nullopt;
}

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// Is `name` one of "cpu,cpuacct"? An empty list has the empty name.
bool listed(const std::string& list, const std::string& name) {
    std::istringstream stream(list);
    for (std::string item; std::getline(stream, item, ',');) {
        if (item == name) return true;
    }
    return list == name;
}

// The directories whose limits apply, innermost first, for a version 1 controller or (empty name) version 2.
std::vector<fs::path> group_directories(const fs::path& root, const std::string& controller) {
    std::ifstream file(root / "proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const size_t names = line.find(':'), path_colon = line.find(':', names + 1);
        if (names == std::string::npos || path_colon == std::string::npos) continue;
        if (!listed(line.substr(names + 1, path_colon - names - 1), controller)) continue;
        const fs::path top = root / "sys/fs/cgroup" / controller;
        std::string path = line.substr(path_colon + 1);
        std::vector<fs::path> directories;
        while (path.size() > 1 && path[0] == '/') {
            directories.push_back(top / path.substr(1));
            path.erase(path.rfind('/'));
        }
        directories.push_back(top);
        return directories;
    }
    return {};
}

// Where a controller's version keeps what.
struct MemoryFiles {
    const char *controller, *limit, *used;
    const char* stat_prefix;  // of the lines of memory.stat that count groups within, too
};

// Of the bytes a group has used: what the files it has read take, which it gives back when it needs memory.
uint64_t cached_bytes(const fs::path& directory, const std::string& prefix) {
    uint64_t bytes = 0;
    std::ifstream file(directory / "memory.stat");
    for (std::string line; std::getline(file, line);)
        for (const char* name : {"inactive_file ", "active_file "})
            if (line.starts_with(prefix + name)) bytes += number(line, line.find(' ')).value_or(0);
    return bytes;
}

void limit_memory(Memory& memory, const fs::path& root, const MemoryFiles& files) {
    for (const fs::path& directory : group_directories(root, files.controller)) {
        const auto limit = number(first_line(directory / files.limit));
        if (!limit) continue;
        uint64_t used = number(first_line(directory / files.used)).value_or(0);
        used -= std::min(used, cached_bytes(directory, files.stat_prefix));
        memory.total = std::min(memory.total, *limit);
        memory.available = std::min(memory.available, *limit - std::min(*limit, used));
    }
}

}  // namespace

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        const size_t colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2, 100);
    }
    utsname system;
    return uname(&system) == 0 ? std::string(system.machine).substr(0, 100) : "CPU";
}

Memory memory(const fs::path& root) {
    Memory memory;
    std::ifstream file(root / "proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        const size_t colon = line.find(':');
        if (line.starts_with("MemTotal:")) memory.total = number(line, colon + 1).value_or(0) * 1024;
        if (line.starts_with("MemAvailable:")) memory.available = number(line, colon + 1).value_or(0) * 1024;
    }
    limit_memory(memory, root, {"", "memory.max", "memory.current", ""});
    limit_memory(memory, root, {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"});
    return memory;
}

int quota_cores(const fs::path& root) {
    uint64_t cores = 0;
    const auto apply = [&](std::optional<uint64_t> quota, std::optional<uint64_t> period) {
        if (!quota || !period || *quota == 0 || *period == 0) return;
        const uint64_t granted = std::min<uint64_t>(*quota / *period + (*quota % *period != 0), 1 << 20);
        cores = cores == 0 ? granted : std::min(cores, granted);
    };
    for (const fs::path& directory : group_directories(root, "")) {
        const std::string line = first_line(directory / "cpu.max");  // "max 100000" or "150000 100000"
        apply(number(line), number(line, line.find(' ')));
    }
    for (const fs::path& directory : group_directories(root, "cpu")) {
        apply(number(first_line(directory / "cpu.cfs_quota_us")), number(first_line(directory / "cpu.cfs_period_us")));
    }
    return static_cast<int>(cores);
}

}  // namespace vks::cpu
