// What the program reads besides models: standard input, and files that are named on the command line. Both may be
// pipes; a device that never ends is refused.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "backend/base/result.h"

namespace vks {

inline constexpr size_t kMaxInput = size_t{2} << 30;  // bytes of a text, or of a line
inline constexpr size_t kMaxIds = size_t{64} << 20;   // of a list of ids in JSON

// Errors of all of these (kBadInput): more than `most` bytes, something that can't be read, a device that is no
// terminal and isn't empty.

// Everything there is, as bytes.
Result<std::string> read_stdin(size_t most);
// The same of a file, which may be a pipe; "-" is standard input. `option` is for the message.
Result<std::string> read_text(const std::filesystem::path& path, std::string_view option, size_t most);
// The next line of standard input without its line break; the last one need not have one. Nothing when there is none.
Result<std::optional<std::string>> read_line(size_t most);
// Each line of standard input, numbered from 1.
Status for_each_line(size_t most, const std::function<Status(const std::string&, int64_t)>& visit);

}  // namespace vks
