// The timeline of every operator on every device, in the JSON that Perfetto and chrome://tracing read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "backend/base/result.h"
#include "backend/graph/graph.h"

namespace vks {

// Not thread-safe.
class Trace {
public:
    Trace();
    int64_t now() const;  // ns since the trace began
    void add(const std::string& device, const Node& node, const std::string& variant, int64_t begin, int64_t end);
    Status write(const std::filesystem::path& path) const;

private:
    struct Event {
        std::string device, name, op, variant;
        int64_t begin = 0, end = 0;
    };
    int64_t start_ = 0;
    std::vector<Event> events_;
};

}  // namespace vks
