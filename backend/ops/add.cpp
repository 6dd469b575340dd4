#include "backend/ops/rule.h"

namespace vks {

// a act [T,H], b act [T,H] -> act [T,H]
extern const OpRule rule_add = {
    "add/1",
    2,
    2,
    0,
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        if (!is_act(n.in[0], 2)) return shape_error("a", "an activation [T, H]", n.in[0]);
        if (!is_act(n.in[1], 2) || n.in[1]->shape != n.in[0]->shape)
            return shape_error("b", to_string(n.in[0]->shape), n.in[1]);
        return std::vector<Dims>{n.in[0]->shape};
    },
    [](const NodeView& n, const Bindings& b) { return elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
