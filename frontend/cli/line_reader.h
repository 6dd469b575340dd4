// Lines a person types: edited and remembered by readline on a terminal, read plainly otherwise.
#pragma once
#include <optional>
#include <string>

#include "frontend/cli/console.h"

namespace vks {

// One at a time; not thread-safe.
class LineReader {
public:
    // Ctrl-C while a line is typed discards the line.
    explicit LineReader(InterruptFlag& interrupt);
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    // Nothing at the end of the input. `prompt` is shown on a terminal only. Errors: those of read_line.
    Result<std::optional<std::string>> next(const char* prompt);

private:
    InterruptFlag& interrupt_;
    bool terminal_;
};

}  // namespace vks
