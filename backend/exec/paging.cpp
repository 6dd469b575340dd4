#include "backend/exec/paging.h"

#include <algorithm>

#include "backend/ops/rule.h"

namespace vks {
namespace {

// Enough to keep a disk busy while something is computed.
constexpr uint64_t kWindow = uint64_t{64} << 20;
// Arguments of grouped_gemm: x, x_scale, offset, row, then a weight and a scale for each expert (abi/ops.h).
constexpr size_t kOffset = 2, kFirstWeight = 4;

}  // namespace

Paging::Paging(Device& device, std::unique_ptr<Pager> pager)
    : device_(device), pager_(std::move(pager)), window_(std::min(kWindow, pager_->budget() / 4)) {}

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
        use.experts.resize((node.inputs - kFirstWeight) / 2);
        use.experts[(a - kFirstWeight) / 2].push_back(*range);
    }
    const vks::Launch& launch = plan.launches[index];
    for (size_t a = 0; a < launch.arg_count; ++a)
        if (!use.experts.empty() && plan.arg_value[launch.first_arg + a] == node.args[kOffset]) use.offset_arg = a;
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
        const auto [first, new_list] = first_with.try_emplace(plan.graph->nodes[i].args[kOffset], i);
        if (!new_list) {
            use.nodes[first->second].siblings.push_back(i);
            continue;
        }
        if (layer_before) use.nodes[*layer_before].next = i;
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

Status Paging::run(const Plan& plan, size_t node, std::span<const vks_tensor> args, Lane& lane, const Launch& launch) {
    PlanUse& use = use_of(plan);
    const NodeUse& here = use.nodes[node];
    if (!here.experts.empty()) {
        VKS_TRY(lane.finish());
        const ValueId list = plan.graph->nodes[node].args[kOffset];
        const auto* offset =
            reinterpret_cast<const int32_t*>(plan.devices[plan.report[node].device].location[list].mapped);
        if (offset != nullptr) return run_experts(use, node, args, offset, lane, launch);
    }
    read_ahead(use, node);
    VKS_TRY(pager_->hold(here.always));
    for (const Pager::Range range : here.always) use.ahead_bytes -= std::min(use.ahead_bytes, pager_->bytes(range));
    VKS_TRY(launch(args));
    VKS_TRY(lane.finish());
    pager_->release(here.always);
    for (const Pager::Range range : here.rows) pager_->forget(range);
    return {};
}

// Wants the experts that were decided on, in the order of their use; and guesses the next layer's to be those of the
// last step.
void Paging::read_experts(PlanUse& use, size_t node, const std::vector<size_t>& used) {
    NodeUse& here = use.nodes[node];
    for (const size_t e : used) pager_->want(here.experts[e]);
    for (const size_t sibling : here.siblings)
        for (const size_t e : used) pager_->want(use.nodes[sibling].experts[e]);
    if (here.siblings.empty()) return;
    here.last = used;
    if (!here.next) return;
    const NodeUse& next = use.nodes[*here.next];
    Ranges guess;
    const auto add = [&](const NodeUse& part) {
        for (const size_t e : next.last) guess.insert(guess.end(), part.experts[e].begin(), part.experts[e].end());
    };
    add(next);
    for (const size_t sibling : next.siblings) add(use.nodes[sibling]);
    pager_->suggest(guess);
}

Status Paging::run_experts(PlanUse& use, size_t node, std::span<const vks_tensor> args, const int32_t* offset,
                           Lane& lane, const Launch& launch) {
    const NodeUse& here = use.nodes[node];
    std::vector<size_t> used;
    for (size_t e = 0; e < here.experts.size(); ++e)
        if (offset[e] < offset[e + 1]) used.push_back(e);
    read_experts(use, node, used);

    std::vector<vks_tensor> some(args.begin(), args.end());
    Ranges held;
    for (size_t first = 0; first < used.size();) {
        size_t last = first;
        uint64_t bytes = 0;
        held.clear();
        while (last < used.size() && (last == first || bytes < window_)) {
            for (const Pager::Range range : here.experts[used[last]]) {
                bytes += pager_->bytes(range);
                held.push_back(range);
            }
            ++last;
        }
        VKS_TRY(pager_->hold(held));
        if (last - first < used.size()) {
            VKS_ASSIGN(some[here.offset_arg], clamped(args[here.offset_arg], offset, used[first], used[last - 1] + 1));
        }
        VKS_TRY(launch(some));
        VKS_TRY(lane.finish());
        pager_->release(held);
        first = last;
    }
    return {};
}

Result<vks_tensor> Paging::clamped(vks_tensor tensor, const int32_t* offset, size_t first, size_t last) {
    const auto count = static_cast<size_t>(tensor.dim[0]);
    if (offsets_count_ < count) {
        VKS_ASSIGN(offsets_, device_.buffer(count * sizeof(int32_t), VKS_BUFFER_DEVICE, nullptr, "memory for offsets"));
        offsets_map_ = static_cast<int32_t*>(device_.map(offsets_));
        CHECK(offsets_map_ != nullptr, "{}: memory without an address", device_.id());
        offsets_count_ = count;
    }
    for (size_t e = 0; e < count; ++e) offsets_map_[e] = std::clamp(offset[e], offset[first], offset[last]);
    tensor.buffer = offsets_.get();
    tensor.offset = 0;
    return tensor;
}

}  // namespace vks
