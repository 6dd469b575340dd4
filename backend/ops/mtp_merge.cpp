#include "backend/ops/rule.h"

namespace vks {

// e act [T,H], h act [T,H], we [H], wh [H] -> act [T,2H]
extern const OpRule rule_mtp_merge = {
    "mtp_merge/1",
    4,
    4,
    sizeof(vks_norm_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        if (!is_act(n.in[0], 2)) return shape_error("e", "an activation [T, H]", n.in[0]);
        const Dims& shape = n.in[0]->shape;
        if (!is_act(n.in[1], 2) || n.in[1]->shape != shape) return shape_error("h", to_string(shape), n.in[1]);
        if (!is_vector(n.in[2], shape[1].count)) return shape_error("we", "[H]", n.in[2]);
        if (!is_vector(n.in[3], shape[1].count)) return shape_error("wh", "[H]", n.in[3]);
        return std::vector<Dims>{{shape[0], fixed(2 * shape[1].count)}};
    },
    [](const NodeView& n, const Bindings& b) { return 8 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
