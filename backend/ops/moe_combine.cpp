#include "backend/ops/rule.h"

namespace vks {

// y act [T*K,H], pos i32 [T,K], weight f32 [T,K], base act? [T,H] -> act [T,H]
extern const OpRule rule_moe_combine = {
    "moe_combine/1",
    4,
    4,
    0,
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const Value *y = n.in[0], *pos = n.in[1], *weight = n.in[2], *base = n.in[3];
        if (!is_act(y, 2)) return shape_error("y", "an activation [T*K, H]", y);
        if (!pos || pos->dtype != VKS_I32 || pos->shape.size() != 2) return shape_error("pos", "i32 [T, K]", pos);
        const Dim pairs = {pos->shape[0].count * pos->shape[1].count, pos->shape[0].symbol};
        if (y->shape[0] != pairs) return shape_error("y", to_string({pairs, y->shape[1]}), y);
        if (!is_table(weight, VKS_F32, pos->shape)) return shape_error("weight", "f32 [T, K]", weight);
        const Dims out = {pos->shape[0], y->shape[1]};
        if (base && (!is_act(base, 2) || base->shape != out)) return shape_error("base", to_string(out), base);
        return std::vector<Dims>{out};
    },
    [](const NodeView& n, const Bindings& b) { return 2 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
