#include "backend/ops/rule.h"

namespace vks {

// gate act [T,I], up act [T,I] -> y [T,I], scale? [T, ceil(I/128)]
extern const OpRule rule_swiglu_quant = {
    "swiglu_quant/1",
    2,
    2,
    0,
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        if (!is_act(n.in[0], 2)) return shape_error("gate", "an activation [T, I]", n.in[0]);
        const Dims& shape = n.in[0]->shape;
        if (!is_act(n.in[1], 2) || n.in[1]->shape != shape) return shape_error("up", to_string(shape), n.in[1]);
        return std::vector<Dims>{shape, {shape[0], fixed(ceil_div(shape[1].count, 128))}};
    },
    [](const NodeView& n, const Bindings& b) { return 8 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
