#include "backend/exec/expert_uses.h"

#include "backend/ops/experts.h"

namespace vks {

std::map<size_t, ExpertUses::List> ExpertUses::lists_of(const Plan& plan) {
    const Graph& graph = *plan.graph;
    std::map<ValueId, std::pair<size_t, List>> by_value;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node& node = graph.nodes[i];
        if (!experts::has(node)) continue;
        auto& [counted, list] = by_value[node.args[experts::kOffset]];
        list.weights.resize(experts::count(node));
        for (size_t e = 0; e < list.weights.size(); ++e)
            if (const ValueId id = node.args[experts::kFirstWeight + 2 * e]; id != kAbsent && !list.weights[e])
                list.weights[e] = graph.values[id].host;
        const DevicePlan& here = plan.devices[plan.report[i].device];
        if (list.offset || !here.device->has(VKS_DEVICE_HOST_MEMORY)) continue;
        list.offset = reinterpret_cast<const int32_t*>(here.location[node.args[experts::kOffset]].mapped);
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
