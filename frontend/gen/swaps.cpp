#include "frontend/gen/swaps.h"

#include <algorithm>

#include "backend/base/clock.h"

namespace vks {

Placement Change::apply(const Placement& now, const Placement& start) const {
    Placement then = now;
    if (!backends.empty()) {
        then.backends = backends;
        then.op_backend = start.op_backend;
    }
    if (!op.first.empty()) then.op_backend[op.first] = op.second;
    return then;
}

Status prepare(Engine& engine, const Change& change) {
    // A plugin's file is taken as it is at that step, no earlier.
    if (!change.reload.empty()) return {};
    if (!change.op.first.empty() && !engine.where().contains(change.op.first))
        return Error{Code::kUsage, fmt::format("operator {}: not used in this run", change.op.first)};
    // A device that failed is asked for only where the change names it.
    return engine.prepare(
        change.apply(engine.without_failed(engine.placement()), engine.without_failed(engine.options().placement)));
}

Result<Swap> commit(Engine& engine, const Change& change) {
    return change.reload.empty() ? engine.commit() : engine.reload(change.reload);
}

SwapSchedule::SwapSchedule(Sequence& sequence, std::vector<PlannedSwap> planned, std::vector<SwapEvent>& events)
    : sequence_(sequence), engine_(sequence.engine()), planned_(std::move(planned)), events_(events) {
    std::stable_sort(planned_.begin(), planned_.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
}

Status SwapSchedule::take_place(const PlannedSwap& planned, int64_t generated) {
    const auto start = Clock::now();
    auto swap = commit(engine_, planned.change);
    SwapEvent event;
    event.step = generated;
    event.reason = planned.reason;
    if (swap) {
        event.swap = *std::move(swap);
        VKS_ASSIGN(event.recomputed_tokens, sequence_.adopt(event.swap));
        event.swap.seconds = begin_seconds_ + seconds_since(start);
    } else {
        event.error = swap.error().text;
    }
    events_.push_back(std::move(event));
    return {};
}

Status SwapSchedule::at(int64_t generated) {
    for (; next_ < planned_.size(); ++next_, begun_ = false, begin_seconds_ = 0) {
        const PlannedSwap& planned = planned_[next_];
        // Once more where a device failed meanwhile and what was begun was given up with it.
        if (!begun_ || (planned.change.reload.empty() && !engine_.prepared())) {
            const auto start = Clock::now();
            if (const Status status = prepare(engine_, planned.change); !status) {
                events_.push_back({generated, planned.reason, {}, 0, status.error().text});
                continue;
            }
            begin_seconds_ += seconds_since(start);
        }
        begun_ = true;
        if (planned.step > generated) return {};
        VKS_TRY(take_place(planned, generated));
    }
    return {};
}

void SwapSchedule::finish(int64_t generated) {
    for (; next_ < planned_.size(); ++next_)
        events_.push_back(
            {generated, planned_[next_].reason, {}, 0, fmt::format("the text ended after {} tokens", generated)});
    if (begun_) engine_.abandon();
}

}  // namespace vks
