// What a step is, and who looks at single launches while steps run.
#pragma once
#include <span>
#include <utility>

#include "backend/plan/plan.h"

namespace vks {

// What changes from step to step.
struct Step {
    Bindings bind{};                                          // 1 <= bind[i] <= graph.max[i]
    std::span<const std::pair<ValueId, const void*>> inputs;  // contiguous, at bound extents; every kInput once
    int64_t state_first = 0, state_count = 0;                 // rows of the states this step writes
};

// A launch of a step. `args` are those it is made with, at actual extents; the lane is its device's.
struct LaunchSite {
    const Plan& plan;
    const Step& step;
    size_t node = 0;
    std::span<const vks_tensor> args;
    Lane& lane;
};

class Probe {
public:
    static constexpr size_t kNoNode = SIZE_MAX;

    virtual ~Probe() = default;
    // A step of `plan` begins: the node to look at.
    virtual size_t choose(const Plan& plan) = 0;
    // Everything that the launch reads is there, and nothing of it is written yet.
    virtual Status before(const LaunchSite& site) = 0;
    // It is done. An error fails the step.
    virtual Status after(const LaunchSite& site) = 0;
};

}  // namespace vks
