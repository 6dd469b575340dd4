#include "backend/ops/rule.h"

namespace vks {

// x act|f8 [T,K], x_scale? [T,ceil(K/128)], w f8 [N,K], w_scale -> act [T,N]
extern const OpRule rule_fp8_gemm = {
    "fp8_gemm/1",
    4,
    4,
    0,
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const Value *x = n.in[0], *w = n.in[2];
        if (!is_matrix(w) || w->dtype != VKS_F8_E4M3) return shape_error("w", "f8_e4m3 [N, K]", w);
        if (!x || x->shape.size() != 2 || x->shape[1] != w->shape[1]) return shape_error("x", "[T, K]", x);
        if (std::string problem = scale_problem(w, n.in[3]); !problem.empty()) return Error{Code::kBadInput, problem};
        if (std::string problem = x_scale_problem(x, n.in[1]); !problem.empty()) return Error{Code::kBadInput, problem};
        return std::vector<Dims>{{x->shape[0], w->shape[0]}};
    },
    [](const NodeView& n, const Bindings& b) { return 2 * elements(*n.in[0], b) * n.in[2]->shape[0].count; },
    nullptr,
};

}  // namespace vks
