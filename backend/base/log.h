// Messages for the person at the terminal, on stderr. Errors travel as Results and are printed once, by the program.
#pragma once
#include <string>

namespace vks {

enum class LogLevel : int { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

// What log_line prints; default kWarning. Thread-safe.
void set_log_level(LogLevel level);
// One line to stderr, "vkseek: " in front. Thread-safe.
void log_line(LogLevel level, const std::string& text);

}  // namespace vks
