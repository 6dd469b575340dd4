#include "frontend/bench/machine.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>

#include "backend/base/bad_input.h"

namespace vks::bench {

std::string cpu_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        const size_t colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) return one_line(line.substr(colon + 2));
    }
    return "unknown";
}

uint64_t last_cache_bytes() {
    constexpr uint64_t kGuess = 32 << 20;
    for (const int level : {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE})
        if (const long bytes = sysconf(level); bytes > 0) return uint64_t(bytes);
    return kGuess;
}

std::string utc_now() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

Result<TempFolder> TempFolder::make(const std::filesystem::path& parent) {
    std::filesystem::path dir = parent;
    std::error_code error;
    if (dir.empty()) dir = std::filesystem::temp_directory_path(error);
    if (error) return bad_input("folder ($TMPDIR): wanted one that is there, found: {}", error.message());
    std::string name = (dir / "vkseek-bench-XXXXXX").string();
    if (mkdtemp(name.data())) return TempFolder(name);
    return bad_input("folder ({}): wanted one that can be written to, found: {}", dir.string(),
                     std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace vks::bench
