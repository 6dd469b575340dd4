#include "backend/ops/rule.h"

namespace vks {

// x f32 [T,H], delta act [T,H], w [H] -> sum f32 [T,H], y act [T,H]
extern const OpRule rule_add_rms_norm = {
    "add_rms_norm/1",
    3,
    3,
    sizeof(vks_norm_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        if (!is_act(n.in[0], 2) || n.in[0]->dtype != VKS_F32) return shape_error("x", "f32 [T, H]", n.in[0]);
        const Dims& shape = n.in[0]->shape;
        if (!is_act(n.in[1], 2) || n.in[1]->shape != shape) return shape_error("delta", to_string(shape), n.in[1]);
        if (!is_vector(n.in[2], shape[1].count)) return shape_error("w", "[H]", n.in[2]);
        return std::vector<Dims>{shape, shape};
    },
    [](const NodeView& n, const Bindings& b) { return 5 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
