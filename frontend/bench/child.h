// A program run to its end, with what it wrote.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "backend/base/result.h"

namespace vks::bench {

struct Child {
    int status = -1;   // exit status; -1: a signal
    std::string text;  // of the output asked for
};

// `program`: a path, or a name for $PATH. `output`: 1 or 2, which of its outputs is wanted; the other one is ours.
// `environment`: instead of ours. Error: it couldn't be started.
Result<Child> run_child(const std::string& program, const std::vector<std::string>& arguments, int output,
                        const std::optional<std::vector<std::string>>& environment = std::nullopt);

}  // namespace vks::bench
