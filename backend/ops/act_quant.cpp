#include "backend/ops/rule.h"

namespace vks {

// x act [T,K] -> q f8 [T,K], scale f32 [T, ceil(K/128)]
extern const OpRule rule_act_quant = {
    "act_quant/1",
    1,
    1,
    sizeof(vks_act_quant_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        if (!is_act(n.in[0], 2)) return shape_error("x", "an activation [T, K]", n.in[0]);
        const Dims& x = n.in[0]->shape;
        return std::vector<Dims>{x, {x[0], fixed(ceil_div(x[1].count, 128))}};
    },
    [](const NodeView& n, const Bindings& b) { return 3 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
