#include "backend/ops/rule.h"

namespace vks {

// x act [T, heads*in], w [heads*(nope+v), lora], w_scale? -> act [T, heads*out]
extern const OpRule rule_head_gemm = {
    "head_gemm/1",
    3,
    3,
    sizeof(vks_head_gemm_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const auto& p = n.get<vks_head_gemm_params>();
        if (p.mode > VKS_HEAD_EXPAND)
            return Error{Code::kBadInput, fmt::format("mode: wanted 0 or 1, found {}", p.mode)};
        const bool absorb = p.mode == VKS_HEAD_ABSORB;
        const int64_t heads = p.heads, in = absorb ? p.nope + p.rope : p.lora, out = absorb ? p.lora : p.v;
        const Value *x = n.in[0], *w = n.in[1];
        if (!is_matrix(w) || w->shape != Dims{fixed(heads * (int64_t(p.nope) + p.v)), fixed(p.lora)})
            return shape_error("w", "[heads*(nope+v), lora]", w);
        if (std::string problem = scale_problem(w, n.in[2]); !problem.empty()) return Error{Code::kBadInput, problem};
        if (!is_act(x, 2) || x->shape[1] != fixed(heads * in))
            return shape_error("x", fmt::format("an activation [T, {}]", heads * in), x);
        return std::vector<Dims>{{x->shape[0], fixed(heads * out)}};
    },
    [](const NodeView& n, const Bindings& b) {
        const auto& p = n.get<vks_head_gemm_params>();
        return 2 * n.in[0]->shape[0].bind(b) * p.heads * p.lora * (p.mode == VKS_HEAD_ABSORB ? p.nope : p.v);
    },
    [](const NodeView& n, const Bindings& b) {
        // Each mode reads its own part of the matrix: the nope rows, or the v rows.
        const auto& p = n.get<vks_head_gemm_params>();
        const int64_t rows = p.mode == VKS_HEAD_ABSORB ? p.nope : p.v;
        const int64_t element = n.in[1]->dtype == VKS_F8_E4M3 ? 1 : n.in[1]->dtype == VKS_F32 ? 4 : 2;
        return rows * p.heads * p.lora * element + elements(*n.in[0], b) * (n.in[0]->dtype == VKS_F32 ? 4 : 2);
    },
};

}  // namespace vks
