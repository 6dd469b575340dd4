#include "backend/base/log.h"

#include <atomic>
#include <cstdio>

namespace vks {
namespace {
std::atomic<LogLevel> g_level{LogLevel::kWarning};  // NOLINT(*-non-const-global-variables): the process's level
}

void set_log_level(LogLevel level) {
    g_level = level;
}

void log_line(LogLevel level, const std::string& text) {
    if (level > g_level.load()) return;
    const std::string line = "vkseek: " + text + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace vks
