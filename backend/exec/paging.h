// Between executor and pager: which ranges a node reads, what to read ahead, and running a node of many experts with a
// few of them resident at a time. For devices that compute on the mapped files themselves.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "backend/exec/expert_guess.h"
#include "backend/exec/pager.h"
#include "backend/exec/row_lists.h"
#include "backend/plan/plan.h"
#include "backend/registry/lane.h"

namespace vks {

// Used by one thread, that of the executor.
class Paging {
public:
    // The pager has every range that is to be managed; weights that it doesn't know stay as they are.
    Paging(Device& device, std::unique_ptr<Pager> pager);

    const Device& device() const { return device_; }
    Pager& pager() { return *pager_; }
    // The largest weight that a launch needs as a whole.
    uint64_t least() const { return pager_->largest(); }

    // Calls `launch` with the arguments of the node's launch while the weights it reads are resident; for experts maybe
    // several times, each with others. All its work is done afterwards. `left_out`, if any: experts whose rows aren't
    // to be computed.
    Status run(const Plan& plan, size_t node, std::span<const vks_tensor> args, Lane& lane, const LaunchWith& launch,
               const std::vector<bool>* left_out = nullptr);

private:
    using Ranges = std::vector<Pager::Range>;
    struct NodeUse {
        Ranges always, rows;
        std::vector<Ranges> experts;
        size_t offset_arg = 0;         // of the launch's arguments: where each expert's rows begin
        std::vector<size_t> siblings;  // later nodes with the same experts, at the first of them
        std::optional<size_t> next;    // at the first of them: the first of the next layer's
        size_t layer = 0;              // of those with experts, at the first of them
    };
    struct PlanUse {
        std::vector<NodeUse> nodes;
        std::vector<std::pair<size_t, Pager::Range>> ahead;  // of all nodes' `always`, in order
        ExpertGuess guess;
        size_t next_ahead = 0, last_node = 0;
        uint64_t ahead_bytes = 0;  // wanted and not held yet
    };

    PlanUse& use_of(const Plan& plan);
    NodeUse node_use(const Plan& plan, size_t index) const;
    void read_ahead(PlanUse& use, size_t node);
    void read_experts(PlanUse& use, size_t node, const int32_t* offset, const std::vector<bool>* left_out);
    Status run_experts(const NodeUse& here, std::span<const vks_tensor> args, const int32_t* offset, Lane& lane,
                       const LaunchWith& launch, const std::vector<bool>* left_out);

    Device& device_;
    std::unique_ptr<Pager> pager_;
    const uint64_t window_;  // bytes to read ahead, or to hold of a node's experts
    std::map<const Plan*, PlanUse> uses_;
    RowLists lists_;
};

}  // namespace vks
