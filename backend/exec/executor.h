// Runs plans, one step at a time: inputs in, segments in order, outputs readable afterwards. All slow things happened
// when the plan was made; a step binds extents, launches and waits.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "backend/exec/expert_slots.h"
#include "backend/exec/expert_uses.h"
#include "backend/exec/paging.h"
#include "backend/exec/probe.h"
#include "backend/exec/trace.h"
#include "backend/plan/plan_set.h"
#include "backend/registry/stream_clock.h"
#include "backend/registry/thread_times.h"

namespace vks {

// What a change of plans had to move, and what is there after it.
struct HandOver {
    uint64_t bytes = 0;
    std::map<std::string, int64_t> rows;  // by state: how many from the first on; fewer than before where devices died
};

// Not thread-safe: one thread runs steps.
class Executor {
public:
    // When `trace` is set, every launch is finished and timed by itself: slower, for --trace-file. Both may be null.
    explicit Executor(Trace* trace = nullptr, Probe* probe = nullptr) : trace_(trace), probe_(probe) {}

    // From now on the weights of its device are resident only as it says.
    void page(std::unique_ptr<Paging> paging) { paging_ = std::move(paging); }
    Paging* paging() { return paging_.get(); }
    // From now on experts without a home on its device are computed there, too, where it has them in slots.
    void use_slots(std::unique_ptr<ExpertSlots> slots) { slots_ = std::move(slots); }
    ExpertSlots* slots() { return slots_.get(); }
    // From now on; what was counted is there to be taken.
    void count_experts() { uses_ = std::make_unique<ExpertUses>(); }
    ExpertUses* expert_uses() { return uses_.get(); }

    // Rows of its states before the step's must be on a device that can be read.
    // An error leaves the step undone: states may hold the rows it wrote, nothing earlier changed. Nothing is in flight
    // afterwards either way, except on a lost device.
    Status run(const Plan& plan, const Step& step);
    // A plan's kernel turned out to be none when the plan was first run: the step has to be run by another plan, in
    // which prepare() fails for it. Until keep_only() of a set without that plan.
    bool refused() const { return refused_ != nullptr; }
    // Copies output `value`, at the extents of the last run of `plan`, into `to`.
    Status read(const Plan& plan, ValueId value, void* to);
    // Rows [first, first + count) of a state that the plan uses.
    Status read_state(const Plan& plan, ValueId value, int64_t first, int64_t count, void* to);
    // Between two steps, for measurements: rows [have, count) of every state become copies of those before, over and
    // over. have >= 1; rows [0, have) are there.
    Status repeat_rows(PlanSet& set, int64_t have, int64_t count);
    // Between two steps: the sequence that ran over the states of `from` goes on over those of `to`. All rows that are
    // right are copied to where `to` has none, from devices that aren't lost; an error leaves `from` as it was. None is
    // right where a device of `from` gave wrong numbers.
    Result<HandOver> hand_over(PlanSet& from, PlanSet& to);
    // Forgets what was kept for all plans and devices that aren't of `set`, before they go. What page() and use_slots()
    // were given is for the plans of then: it is replaced with them.
    void keep_only(const PlanSet& set);

private:
    struct Bound {
        Bindings bind{};
        std::vector<vks_tensor> args;                             // Plan::args at actual extents
        std::shared_ptr<const std::vector<Trace::Place>> places;  // where there is a trace
        bool compiled = false;                                    // its kernels are
    };
    struct Clocks {
        StreamClock stream;
        ThreadTimes threads;
    };
    Result<Lane*> lane(Device& device);
    // What the trace is told of the launch just finished, `begin`: when it was handed over; and of the end of a step.
    void note(const Device& device, size_t node, int64_t begin);
    void note_end();
    // `bytes` from one device's memory to another's.
    Status move(Device& from_device, const Location& from, Device& to_device, const Location& to, uint64_t bytes);
    // Rows that `copy` lacks up to `last`, from `newest`: how many bytes that were.
    Result<uint64_t> bring_up(const State::Memory& state, const State::Copy& newest, State::Copy& copy, int64_t last);
    Status catch_up(const Plan& plan, const Step& step);
    Status transfer(const Plan& plan, const Transfer& t, const Step& step);
    Status upload(const Plan& plan, const Step& step);
    Status launch(const Plan& plan, size_t node, const Bound& bound, Lane& lane);
    Status launch_probed(const Plan& plan, const Step& step, size_t node, const Bound& bound, Lane& lane);
    Status run_segments(const Plan& plan, const Step& step, const Bound& bound);
    Status finish_lanes(Status status);
    Status finish_kernels(const Plan& plan);
    Bound& bind(const Plan& plan, const Bindings& b);

    Trace* trace_;
    Probe* probe_;
    std::unique_ptr<Paging> paging_;
    std::unique_ptr<ExpertSlots> slots_;  // may read by paging_
    std::unique_ptr<ExpertUses> uses_;
    std::unordered_map<Device*, std::unique_ptr<Lane>> lanes_;
    std::unordered_map<const Device*, Clocks> clocks_;  // of the lanes, where there is a trace
    std::unordered_map<const Plan*, Bound> bound_;
    const Plan* refused_ = nullptr;
    std::vector<std::byte> bounce_;  // between two devices' memories
};

}  // namespace vks
