// The timeline of every operator on every device and of what the program does around them, on one clock, in the JSON
// that Perfetto and chrome://tracing read.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "backend/base/output_file.h"
#include "backend/graph/graph.h"

namespace vks {

// Adding is cheap, so that it adds little to the times: a launch is some numbers, texts are made when the file is
// written. Not thread-safe. Times are ns since the trace began; all is added in the order of its beginning.
class Trace {
public:
    // Where a plan runs a node.
    struct Place {
        std::string device, variant;
    };
    // A step over a plan; `places` by node, `state_rows`: how many rows of the states its operators can see.
    struct Step {
        std::shared_ptr<const Graph> graph;
        std::shared_ptr<const std::vector<Place>> places;
        Bindings bind{};
        int64_t state_rows = 0;
    };

    Trace();
    int64_t now() const;
    int64_t at(int64_t monotonic_ns) const { return monotonic_ns - start_; }  // another moment
    void begin_step(Step step, int64_t begin) { steps_.push_back({std::move(step), begin, kNever}); }
    // A launch in the step that was begun last.
    void add(size_t node, int64_t begin, int64_t end) {
        ops_.push_back({uint32_t(steps_.size() - 1), uint32_t(node), begin, end});
    }
    // What the thread that runs steps does beside operators: "upload". The name must stay.
    void add_host(const char* what, int64_t begin, int64_t end) { host_.push_back({what, begin, end}); }
    // The step begun last is over. One that failed never is.
    void end_step(int64_t end) { steps_.back().end = end; }
    // A device's own thread was at work.
    void add_thread(const std::string& device, uint64_t thread, int64_t begin, int64_t end) {
        threads_.push_back({device, thread, begin, end});
    }
    // Into a file that was opened before.
    Status write(OutputFile file) const;

private:
    static constexpr int64_t kNever = -1;
    struct Run {
        Step step;
        int64_t begin, end;
    };
    struct Op {
        uint32_t run, node;
        int64_t begin, end;
    };
    struct Host {
        const char* what;
        int64_t begin, end;
    };
    struct Thread {
        std::string device;
        uint64_t thread;
        int64_t begin, end;
    };
    class Rows;
    void write_step(const Run& run, nlohmann::json& events) const;
    void write_op(const Op& op, Rows& rows, nlohmann::json& events) const;
    void write_thread(const Thread& thread, Rows& rows, nlohmann::json& events) const;

    int64_t start_ = 0;
    std::vector<Run> steps_;
    std::vector<Op> ops_;
    std::vector<Host> host_;
    std::vector<Thread> threads_;
};

}  // namespace vks
