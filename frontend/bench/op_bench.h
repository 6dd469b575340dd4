// Operators on a device: each result is checked against a reference first and timed only if it is right.
#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "frontend/bench/op_cases.h"
#include "frontend/bench/op_trial.h"
#include "frontend/bench/roofline.h"
#include "frontend/bench/table.h"

namespace vks::bench {

// Where a result differs from the reference's.
struct Difference {
    size_t argument = 0;
    int64_t index = 0;  // of the first element that is wrong; in the rows that were compared
    double wanted = 0, found = 0;
    std::string text;  // what was wrong with the whole
};
// Empty when `got` is as right as the case asks for.
std::optional<Difference> difference(const conformance::Case& c, const std::vector<conformance::Value>& got,
                                     const std::vector<conformance::Value>& want, const std::string& variant);

struct OpResult {
    std::string op = {}, variant = {}, shape = {};
    std::string skipped = {};  // why it was neither checked nor timed
    std::string problem = {};  // what went wrong; then it wasn't timed
    std::optional<Difference> wrong = {};
    int64_t verified_rows = 0;
    double bytes = 0, flops = 0;
    std::vector<double> seconds = {};
    bool device_clock = false;  // whose they are
};

// A case on a device, checked, ready to be timed.
struct OpRun {
    OpRun(conformance::Target& target, PlacedConstants& constants, const OpCase& c)
        : result{.op = c.arguments.op, .shape = c.shape, .bytes = c.bytes, .flops = c.flops},
          trial(target, constants, c.arguments) {}
    bool right() const { return result.skipped.empty() && result.problem.empty() && !result.wrong; }

    OpResult result;
    OpTrial trial;
};

// What a case has to give, by the reference; of some of its rows if all would take too long.
struct Expected {
    SampledCase sampled;
    std::vector<conformance::Value> outputs;
};

struct OpBenchOptions {
    std::vector<int64_t> rows = {1, 2, 4, 8, 64, 512, 4096};
    int64_t repetitions = 5;
    bool list_all = false;          // also cases that the model has no use for, as skipped
    double most_flops = 3e11;       // of a case; 0: any
    double most_bytes = 0;          // of a family's constants; 0: any
    double most_seconds = 3;        // of a case's repetitions, the first one not counted
    double most_case_seconds = 10;  // of a launch, by the one of fewer rows; 0: any
    bool cold = true;               // caches are flushed before each repetition
    std::string device_options;     // of vks_plugin.open
    std::string variant;            // cases that run as another are skipped; empty: any
    // Called with each case before anything is asked of the device; false leaves the case out. May be null.
    std::function<Result<bool>(conformance::Target&, const OpCase&)> before = {};
};

// One device, all families one after the other. Not thread-safe.
class OpBench {
public:
    // `reference`: the CPU plugin.
    OpBench(const vks_plugin& plugin, uint32_t index, const vks_plugin& reference, const OpBenchOptions& options);
    // Why nothing can be measured.
    const std::string& problem() const { return problem_; }
    // Every case of a family, handed over as it is done; stops at the first error of `done`.
    Status run(const OpFamily& family, const std::function<Status(const OpResult&)>& done);

    // The parts of that, for cases and constants that stay. `c` must outlive the run.
    conformance::Target& target() { return target_; }
    conformance::Target& reference() { return reference_; }
    // Prepares the case on the device and checks what it gives; `expected` is found when it is needed first.
    std::unique_ptr<OpRun> check(PlacedConstants& here, PlacedConstants& there, const OpCase& c,
                                 std::optional<Expected>& expected);
    // Times those that are right, repetition by repetition in turn, so that what disturbs one disturbs the others, too.
    // `turn`, if any, hears whose is next.
    void time(const std::vector<OpRun*>& runs, const std::function<void(size_t)>& turn = nullptr);
    // Whether a model has such a case, and why it isn't for this machine: its memory, or its time.
    static bool asks_for(const OpFamily& family, int64_t rows);
    std::string too_large(const OpFamily& family) const;
    std::string too_large(const OpFamily& family, int64_t rows) const;

private:
    // What a family's last case took.
    struct Pace {
        double flops = 0, seconds = 0;
    };
    double room() const;
    std::string too_long(const OpFamily& family, int64_t rows, const Pace& pace) const;
    std::string expect(PlacedConstants& there, const OpCase& c, std::optional<Expected>& expected);
    std::string verify(PlacedConstants& there, const OpCase& c, OpRun& run, std::optional<Expected>& expected);
    void repeat(OpRun& run, const StreamClock& clock);
    bool flush();

    OpBenchOptions options_;
    conformance::Target target_, reference_;
    vks_buffer *from_ = nullptr, *to_ = nullptr;  // copied between repetitions: caches hold that then
    uint64_t flush_bytes_ = 0;
    std::string problem_;
};

// A row of results, as CLI.md has it. `roofline` may be null.
nlohmann::ordered_json op_row(const OpResult& result, const std::string& backend, const std::string& device,
                              const Roofline* roofline);
TableLayout op_table();

}  // namespace vks::bench
