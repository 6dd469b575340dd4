#include "backend/ops/rule.h"

namespace vks {

// logits f32 [T,E], bias f32 [E] -> idx i32 [T,K], weight f32 [T,K]
extern const OpRule rule_moe_route = {
    "moe_route/1",
    2,
    2,
    sizeof(vks_moe_route_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const auto& p = n.get<vks_moe_route_params>();
        const Value* logits = n.in[0];
        if (!is_act(logits, 2) || logits->dtype != VKS_F32) return shape_error("logits", "f32 [T, E]", logits);
        const Dim experts = logits->shape[1];
        if (!is_table(n.in[1], VKS_F32, {experts})) return shape_error("bias", "f32 [E]", n.in[1]);
        const bool groups_fit = p.groups > 0 && experts.count % p.groups == 0 && p.groups_kept <= p.groups;
        if (!groups_fit || p.top_k < 1 || p.top_k > experts.count / p.groups * p.groups_kept)
            return Error{Code::kBadInput,
                         fmt::format("params: wanted top_k within the experts of the kept groups, found "
                                     "top {} of {} experts in {} of {} groups",
                                     p.top_k, experts.count, p.groups_kept, p.groups)};
        const Dims chosen = {logits->shape[0], fixed(p.top_k)};
        return std::vector<Dims>{chosen, chosen};
    },
    [](const NodeView& n, const Bindings& b) { return 8 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
