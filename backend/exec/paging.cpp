#include "backend/exec/paging.h"

#include <algorithm>

#include "backend/ops/experts.h"

namespace vks {
namespace {

// Enough to keep a disk busy while something is computed.
constexpr uint64_t kWindow = uint64_t{64} << 20;

// Holds ranges until the end of a launch, however it ends.
class Held {
public:
    Held(Pager& pager, std::span<const Pager::Range> ranges)
        : pager_(pager), ranges_(ranges), there_(pager.hold(ranges)) {}
    ~Held() { pager_.release(ranges_); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    Status there() const { return there_; }

private:
    Pager& pager_;
    std::span<const Pager::Range> ranges_;
    Status there_;
};

}  // namespace

Paging::Paging(Device& device, std::unique_ptr<Pager> pager)
    : device_(device), pager_(std::move(pager)), window_(std::min(kWindow, pager_->budget() / 4)), lists_(device) {}

Paging::NodeUse Paging::node_use(const Plan& plan, size_t index) const {
    const Graph& graph = *plan.graph;
    const Node& node = graph.nodes[index];
    NodeUse use;
    const OpRule* rule = find_rule(node.op);
    const WeightUse kind = rule ? rule->weights : WeightUse::kAll;
    for (size_t a = 0; a < node.inputs; ++a) {
        if (node.args[a] == kAbsent || graph.values[node.args[a]].kind != Kind::kWeight) continue;
        const std::optional<Pager::Range> range = pager_->find(graph.values[node.args[a]].host);
        if (!range) continue;
        if (kind == WeightUse::kAll) use.always.push_back(*range);
        if (kind == WeightUse::kRows) use.rows.push_back(*range);
        if (kind != WeightUse::kByOffset) continue;
        use.experts.resize(experts::count(node));
        use.experts[(a - experts::kFirstWeight) / 2].push_back(*range);
    }
    const vks::Launch& launch = plan.launches[index];
    for (size_t a = 0; a < launch.arg_count; ++a)
        if (!use.experts.empty() && plan.arg_value[launch.first_arg + a] == node.args[experts::kOffset])
            use.offset_arg = a;
    return use;
}

Paging::PlanUse& Paging::use_of(const Plan& plan) {
    const auto [at, fresh] = uses_.try_emplace(&plan);
    PlanUse& use = at->second;
    if (!fresh) return use;
    std::map<ValueId, size_t> first_with;  // by the value that lists the experts' rows
    std::optional<size_t> layer_before;
    for (size_t i = 0; i < plan.graph->nodes.size(); ++i) {
        const bool here = plan.devices[plan.report[i].device].device == &device_;
        use.nodes.push_back(here ? node_use(plan, i) : NodeUse{});
        for (const Pager::Range range : use.nodes[i].always) use.ahead.emplace_back(i, range);
        if (use.nodes[i].experts.empty()) continue;
        const auto [first, new_list] = first_with.try_emplace(plan.graph->nodes[i].args[experts::kOffset], i);
        if (!new_list) {
            use.nodes[first->second].siblings.push_back(i);
            continue;
        }
        if (layer_before) {
            use.nodes[*layer_before].next = i;
            use.nodes[i].layer = use.nodes[*layer_before].layer + 1;
        }
        layer_before = i;
    }
    return use;
}

// Wants the ranges of the nodes that come, as many as the window takes.
void Paging::read_ahead(PlanUse& use, size_t node) {
    if (node <= use.last_node) {  // a new step
        use.next_ahead = 0;
        use.ahead_bytes = 0;
    }
    use.last_node = node;
    while (use.next_ahead < use.ahead.size()) {
        const auto& [at, range] = use.ahead[use.next_ahead];
        if (at > node && use.ahead_bytes > window_) return;
        pager_->want({&range, 1});
        use.ahead_bytes += pager_->bytes(range);
        ++use.next_ahead;
    }
}

Status Paging::run(const Plan& plan, size_t node, std::span<const vks_tensor> args, Lane& lane,
                   const LaunchWith& launch, const std::vector<bool>* left_out) {
    PlanUse& use = use_of(plan);
    const NodeUse& here = use.nodes[node];
    if (!here.experts.empty()) {
        VKS_TRY(lane.finish());
        const ValueId list = plan.graph->nodes[node].args[experts::kOffset];
        const auto* offset =
            reinterpret_cast<const int32_t*>(plan.devices[plan.report[node].device].location[list].mapped);
        if (offset != nullptr) {
            read_experts(use, node, offset, left_out);
            return run_experts(here, args, offset, lane, launch, left_out);
        }
    }
    read_ahead(use, node);
    {
        const Held held(*pager_, here.always);
        VKS_TRY(held.there());
        for (const Pager::Range range : here.always) use.ahead_bytes -= std::min(use.ahead_bytes, pager_->bytes(range));
        VKS_TRY(launch(args));
        VKS_TRY(lane.finish());
    }
    for (const Pager::Range range : here.rows) pager_->forget(range);
    return {};
}

// Wants the experts that were decided on, in the order of their use; and guesses the next layer's.
void Paging::read_experts(PlanUse& use, size_t node, const int32_t* offset, const std::vector<bool>* left_out) {
    const NodeUse& here = use.nodes[node];
    std::vector<size_t> routed, used;
    for (size_t e = 0; e < here.experts.size(); ++e) {
        if (offset[e] >= offset[e + 1]) continue;
        routed.push_back(e);
        if (left_out == nullptr || !(*left_out)[e]) used.push_back(e);
    }
    for (const size_t e : used) pager_->want(here.experts[e]);
    for (const size_t sibling : here.siblings)
        for (const size_t e : used) pager_->want(use.nodes[sibling].experts[e]);
    if (here.siblings.empty()) return;
    use.guess.saw(here.layer, here.experts.size(), routed);
    if (!here.next) return;
    const NodeUse& next = use.nodes[*here.next];
    const std::vector<size_t> likely = use.guess.next();
    Ranges guess;
    const auto add = [&](const NodeUse& part) {
        for (const size_t e : likely) guess.insert(guess.end(), part.experts[e].begin(), part.experts[e].end());
    };
    add(next);
    for (const size_t sibling : next.siblings) add(use.nodes[sibling]);
    pager_->suggest(guess);
}

// A few experts at a time, as many as the window takes; none that are left out among them.
Status Paging::run_experts(const NodeUse& here, std::span<const vks_tensor> args, const int32_t* offset, Lane& lane,
                           const LaunchWith& launch, const std::vector<bool>* left_out) {
    const auto out = [&](size_t e) { return left_out != nullptr && (*left_out)[e]; };
    const size_t experts = here.experts.size();
    const bool all = left_out == nullptr || std::ranges::find(*left_out, true) == left_out->end();
    std::vector<vks_tensor> some(args.begin(), args.end());
    Ranges ranges;
    for (size_t first = 0, last = 0; first < experts; first = last) {
        uint64_t bytes = 0;
        ranges.clear();
        last = first;
        while (last < experts && !out(last) && (ranges.empty() || bytes < window_)) {
            if (offset[last] < offset[last + 1])
                for (const Pager::Range range : here.experts[last]) {
                    bytes += pager_->bytes(range);
                    ranges.push_back(range);
                }
            ++last;
        }
        if (offset[first] < offset[last]) {
            const Held held(*pager_, ranges);
            VKS_TRY(held.there());
            if (!all || first > 0 || last < experts) {
                VKS_ASSIGN(some[here.offset_arg], lists_.of(args[here.offset_arg], offset, first, last));
            }
            VKS_TRY(launch(some));
            VKS_TRY(lane.finish());
        }
        while (last < experts && out(last)) ++last;
    }
    return {};
}

}  // namespace vks
