// A graph made ready to run: every node placed, every kernel prepared, every byte given a place. Immutable.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "backend/exec/state.h"
#include "backend/plan/placement.h"
#include "backend/plan/segment.h"
#include "backend/plan/weights.h"

namespace vks {

// One prepared node: arguments are Plan::args[first_arg, first_arg + arg_count).
struct Launch {
    Kernel kernel;
    size_t first_arg = 0, arg_count = 0;
    bool scratch = false;
};

// Why a node runs where it does.
struct NodeReport {
    size_t device = 0;
    std::string variant, reason;
    std::string what;  // "fp8_gemm layers.0.mlp.up_proj"
};

// What a device holds for one plan, beside weights and states.
struct DevicePlan {
    Device* device = nullptr;
    Buffer arena_buffer;
    std::byte* arena_map = nullptr;
    Arena arena;
    vks_tensor scratch{};            // U8 behind the arena's values
    std::vector<Location> location;  // by ValueId: inputs, temporaries and states
    uint64_t arena_bytes = 0;
};

struct Plan {
    std::shared_ptr<const Graph> graph;
    std::vector<DevicePlan> devices;  // in the preference's order
    std::vector<Segment> segments;
    std::vector<Launch> launches;    // by node
    std::vector<NodeReport> report;  // by node
    std::vector<vks_tensor> args;    // launch arguments at maximum extents
    std::vector<ValueId> arg_value;  // which value each of args is
    State* state = nullptr;          // what the plan was made over
    std::vector<ValueId> states;     // those of its values
    // What its kernels and launches use of the stores and of `state`, which it doesn't own.
    std::vector<const vks_buffer*> shared;

    // One line per node: "layers.0.mlp.up_proj  fp8_gemm  cpu  avx512  the only device".
    std::string explain() const;
    void count(MemoryUse& use) const;  // arenas
};

// Makes a plan in two steps, so that plans that are made together have their memory for activations and caches before
// any of them has weights. A prepare that fails bars that (node, device) pair and places again. A device without memory
// for a constant gets no later node that has any; one without memory for activations, or that fails in any other way,
// is left out as a whole. Errors name the operator. What attempts that failed asked `weights` and `state` for stays in
// them: it may be wanted next, and settle() knows whether it was. Not thread-safe.
class PlanMaker {
public:
    // `weights` and `state` must outlive it. `gives_up`: instead of doing without memory that a device refuses. `stop`:
    // once it is set, any thread's doing, the plan is no longer wanted.
    PlanMaker(std::shared_ptr<const Graph> graph, Preference preference, WeightStores& weights, State& state,
              bool gives_up = false, const std::atomic<bool>* stop = nullptr);
    ~PlanMaker();
    PlanMaker(const PlanMaker&) = delete;
    PlanMaker& operator=(const PlanMaker&) = delete;

    // Runs the passes up to activations and caches.
    Status begin();
    // Constants and kernels. Once, after begin(). Slow; looks at `stop` between two of them.
    Result<std::shared_ptr<const Plan>> finish();
    // After an error: the device that refused memory, where it gave up.
    Device* full() const { return full_; }
    // Activations, from begin() to finish().
    void count(MemoryUse& use) const;

private:
    class Attempt;
    struct Failed {
        std::vector<size_t> nodes;  // that can't be there
        size_t device = 0;
        Error error;
        bool full = false;  // the device has no memory left for what would fit into it otherwise
    };
    Status wanted() const;
    Status place_again();
    Status bar(const Failed& failed);

    std::shared_ptr<const Graph> graph_;
    Preference preference_;
    WeightStores& weights_;
    State& state_;
    bool gives_up_ = false;
    const std::atomic<bool>* stop_ = nullptr;
    SupportTable table_;
    Barred barred_;
    std::unique_ptr<Attempt> attempt_;
    Device* full_ = nullptr;
};

// Both steps.
Result<std::shared_ptr<const Plan>> make_plan(const std::shared_ptr<const Graph>& graph, const Preference& preference,
                                              WeightStores& weights, State& state);

}  // namespace vks
