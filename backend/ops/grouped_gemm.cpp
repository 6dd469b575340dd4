#include <algorithm>

#include "backend/ops/rule.h"

namespace vks {

// x [T|T*K, Kd], x_scale?, offset i32 [E+1], row i32? [T*K], then per expert w [N,Kd], w_scale? -> act [T*K, N]
extern const OpRule rule_grouped_gemm = {
    "grouped_gemm/1",
    6,
    UINT32_MAX,
    sizeof(vks_grouped_gemm_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const int64_t experts = n.get<vks_grouped_gemm_params>().experts;
        if (experts < 1 || int64_t(n.in.size()) != 4 + 2 * experts)
            return Error{Code::kBadInput, fmt::format("params: wanted 4 + 2 * experts inputs, found {}", n.in.size())};
        const Value *x = n.in[0], *offset = n.in[2], *row = n.in[3], *first = n.in[4];
        if (!is_matrix(first)) return shape_error("w", "[N, K]", first);
        for (int64_t e = 0; e < experts; ++e) {
            const Value* w = n.in[size_t(4 + 2 * e)];
            if (!is_matrix(w) || w->shape != first->shape) return shape_error("w", to_string(first->shape), w);
            std::string problem = scale_problem(w, n.in[size_t(5 + 2 * e)]);
            if (!problem.empty()) return Error{Code::kBadInput, problem};
        }
        if (!x || x->shape.size() != 2 || x->shape[1] != first->shape[1]) return shape_error("x", "[T, K]", x);
        if (std::string problem = x_scale_problem(x, n.in[1]); !problem.empty()) return Error{Code::kBadInput, problem};
        if (!is_table(offset, VKS_I32, {fixed(experts + 1)})) return shape_error("offset", "i32 [E + 1]", offset);
        if (row && (row->dtype != VKS_I32 || row->shape.size() != 1)) return shape_error("row", "i32 [T*K]", row);
        return std::vector<Dims>{{row ? row->shape[0] : x->shape[0], first->shape[0]}};
    },
    [](const NodeView& n, const Bindings& b) {
        const Dim pairs = n.in[3] ? n.in[3]->shape[0] : n.in[0]->shape[0];
        return 2 * pairs.bind(b) * n.in[4]->shape[0].count * n.in[4]->shape[1].count;
    },
    [](const NodeView& n, const Bindings& b) {
        // At most one expert per pair is read, and each once.
        const Dim pairs = n.in[3] ? n.in[3]->shape[0] : n.in[0]->shape[0];
        const int64_t used = std::min<int64_t>(n.get<vks_grouped_gemm_params>().experts, pairs.bind(b));
        const int64_t element = n.in[4]->dtype == VKS_F8_E4M3 ? 1 : n.in[4]->dtype == VKS_F32 ? 4 : 2;
        return used * elements(*n.in[4], b) * element + elements(*n.in[0], b) * (n.in[0]->dtype == VKS_F32 ? 4 : 2);
    },
    WeightUse::kByOffset,
};

}  // namespace vks
