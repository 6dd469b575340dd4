#include "backend/ops/rule.h"

namespace vks {

// x act [T,K], w [N,K] f32|bf16|f16 -> act [T,N]
extern const OpRule rule_gemm = {
    "gemm/1",
    2,
    2,
    0,
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const Value *x = n.in[0], *w = n.in[1];
        if (!is_matrix(w) || w->dtype == VKS_F8_E4M3) return shape_error("w", "an unquantised matrix [N, K]", w);
        if (!is_act(x, 2) || x->shape[1] != w->shape[1]) return shape_error("x", "an activation [T, K]", x);
        return std::vector<Dims>{{x->shape[0], w->shape[0]}};
    },
    [](const NodeView& n, const Bindings& b) { return 2 * elements(*n.in[0], b) * n.in[1]->shape[0].count; },
    nullptr,
};

}  // namespace vks
