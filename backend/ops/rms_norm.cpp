#include "backend/ops/rule.h"

namespace vks {

// x act [T,H], w [H] -> act [T,H]
extern const OpRule rule_rms_norm = {
    "rms_norm/1",
    2,
    2,
    sizeof(vks_norm_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        if (!is_act(n.in[0], 2)) return shape_error("x", "an activation [T, H]", n.in[0]);
        if (!is_vector(n.in[1], n.in[0]->shape[1].count)) return shape_error("w", "[H]", n.in[1]);
        return std::vector<Dims>{n.in[0]->shape};
    },
    [](const NodeView& n, const Bindings& b) { return 4 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
