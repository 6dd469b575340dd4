// The timeline of every operator on every device and of what the program does around them, on one clock, in the JSON
// that Perfetto and chrome://tracing read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "backend/base/result.h"
#include "backend/graph/graph.h"

namespace vks {

// Adding is cheap, so that it adds little to the times: texts are made when the file is written. Not thread-safe.
class Trace {
public:
    // A launch of a node; `state_rows`: how many rows of the states it could see.
    struct Op {
        std::string device, variant;
        std::shared_ptr<const Graph> graph;
        size_t node = 0;
        Bindings bind{};
        int64_t state_rows = 0;
        int64_t begin = 0, end = 0;
    };

    Trace();
    int64_t now() const;  // ns since the trace began
    int64_t at(int64_t monotonic_ns) const { return monotonic_ns - start_; }  // the same of another moment
    void add(Op op) { ops_.push_back(std::move(op)); }
    // What the thread that runs steps does beside operators: "upload". The name must stay.
    void add_host(const char* what, int64_t begin, int64_t end) { host_.push_back({what, nullptr, {}, begin, end}); }
    // A whole step, from the call to its end.
    void add_step(std::shared_ptr<const Graph> graph, const Bindings& bind, int64_t begin, int64_t end) {
        steps_.push_back({"step", std::move(graph), bind, begin, end});
    }
    Status write(const std::filesystem::path& path) const;

private:
    struct Host {
        const char* what;
        std::shared_ptr<const Graph> graph;  // of a step
        Bindings bind{};
        int64_t begin = 0, end = 0;
    };
    void write_step(const Host& step, nlohmann::json& events) const;

    int64_t start_ = 0;
    std::vector<Op> ops_;  // in the order of their beginnings, as all of these
    std::vector<Host> host_, steps_;
};

}  // namespace vks
