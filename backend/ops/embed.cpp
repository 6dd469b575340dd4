#include "backend/ops/rule.h"

namespace vks {

// ids i32 [T], table [V,H] -> [T,H]
extern const OpRule rule_embed = {
    "embed/1",
    2,
    2,
    0,
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const Value *ids = n.in[0], *table = n.in[1];
        if (!ids || ids->dtype != VKS_I32 || ids->shape.size() != 1) return shape_error("ids", "i32 [T]", ids);
        const bool plain = is_act(table, 2) || (is_matrix(table) && table->dtype == VKS_F16);
        if (!plain) return shape_error("table", "an unquantised [V, H]", table);
        return std::vector<Dims>{{ids->shape[0], table->shape[1]}};
    },
    nullptr,
    [](const NodeView& n, const Bindings& b) {
        return elements(*n.in[0], b) * n.in[1]->shape[1].count * (n.in[1]->dtype == VKS_F32 ? 4 : 2);
    },
    WeightUse::kRows,
};

}  // namespace vks
