#include "backend/exec/expert_uses.h"

#include "backend/ops/rule.h"

namespace vks {
namespace {

// Arguments of grouped_gemm: x, x_scale, offset, row, then a weight and a scale for each expert (abi/ops.h).
constexpr size_t kOffset = 2, kFirstWeight = 4;

}  // namespace

std::map<size_t, ExpertUses::List> ExpertUses::lists_of(const Plan& plan) {
    const Graph& graph = *plan.graph;
    std::map<ValueId, std::pair<size_t, List>> by_value;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node& node = graph.nodes[i];
        const OpRule* rule = find_rule(node.op);
        if (!rule || rule->weights != WeightUse::kByOffset) continue;
        auto& [counted, list] = by_value[node.args[kOffset]];
        list.weights.resize((node.inputs - kFirstWeight) / 2);
        for (size_t e = 0; e < list.weights.size(); ++e)
            if (const ValueId id = node.args[kFirstWeight + 2 * e]; id != kAbsent && !list.weights[e])
                list.weights[e] = graph.values[id].host;
        const DevicePlan& here = plan.devices[plan.report[i].device];
        if (list.offset || !here.device->has(VKS_DEVICE_HOST_MEMORY)) continue;
        list.offset = reinterpret_cast<const int32_t*>(here.location[node.args[kOffset]].mapped);
        counted = i;
    }
    std::map<size_t, List> lists;
    for (auto& [value, list] : by_value)
        if (list.second.offset) lists.insert(std::move(list));
    return lists;
}

const ExpertUses::List* ExpertUses::list_of(const Plan& plan, size_t node) {
    const auto [at, fresh] = lists_.try_emplace(&plan);
    if (fresh) at->second = lists_of(plan);
    const auto list = at->second.find(node);
    return list == at->second.end() ? nullptr : &list->second;
}

void ExpertUses::count(const Plan& plan, size_t node) {
    const List* list = list_of(plan, node);
    if (list == nullptr) return;
    for (size_t e = 0; e < list->weights.size(); ++e)
        if (list->offset[e] < list->offset[e + 1]) ++uses_[list->weights[e]];
}

}  // namespace vks
