#include <algorithm>

#include "backend/ops/experts.h"

namespace vks {
namespace {

using experts::kFirstWeight, experts::kOffset;

size_t experts_of(const NodeView& n) {
    return (n.in.size() - kFirstWeight) / 2;
}

// Of the experts that are here; all weights are alike.
const Value* any_weight(const NodeView& n) {
    for (size_t e = 0; e < experts_of(n); ++e)
        if (const Value* w = n.in[kFirstWeight + 2 * e]) return w;
    return nullptr;
}

int64_t weights_here(const NodeView& n) {
    int64_t here = 0;
    for (size_t e = 0; e < experts_of(n); ++e) here += n.in[kFirstWeight + 2 * e] ? 1 : 0;
    return here;
}

Dim pairs_of(const NodeView& n) {
    return n.in[3] ? n.in[3]->shape[0] : n.in[0]->shape[0];
}

}  // namespace

// x [T|T*K, Kd], x_scale?, offset i32 [E+1], row i32? [T*K], then per expert w? [N,Kd], w_scale? -> act [T*K, N]
extern const OpRule rule_grouped_gemm = {
    "grouped_gemm/1",
    6,
    UINT32_MAX,
    sizeof(vks_grouped_gemm_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const int64_t experts = n.get<vks_grouped_gemm_params>().experts;
        if (experts < 1 || n.in.size() != kFirstWeight + 2 * size_t(experts))
            return Error{Code::kBadInput, fmt::format("params: wanted 4 + 2 * experts inputs, found {}", n.in.size())};
        const Value *x = n.in[0], *offset = n.in[kOffset], *row = n.in[3], *first = any_weight(n);
        if (!is_matrix(first)) return shape_error("w", "[N, K]", first);
        for (size_t e = 0; e < experts_of(n); ++e) {
            const Value *w = n.in[kFirstWeight + 2 * e], *scale = n.in[kFirstWeight + 2 * e + 1];
            if (!w && !scale) continue;  // elsewhere
            if (!is_matrix(w) || w->shape != first->shape) return shape_error("w", to_string(first->shape), w);
            std::string problem = scale_problem(w, scale);
            if (!problem.empty()) return Error{Code::kBadInput, problem};
        }
        if (!x || x->shape.size() != 2 || x->shape[1] != first->shape[1]) return shape_error("x", "[T, K]", x);
        if (std::string problem = x_scale_problem(x, n.in[1]); !problem.empty()) return Error{Code::kBadInput, problem};
        if (!is_table(offset, VKS_I32, {fixed(experts + 1)})) return shape_error("offset", "i32 [E + 1]", offset);
        if (row && (row->dtype != VKS_I32 || row->shape.size() != 1)) return shape_error("row", "i32 [T*K]", row);
        return std::vector<Dims>{{row ? row->shape[0] : x->shape[0], first->shape[0]}};
    },
    [](const NodeView& n, const Bindings& b) { return 2 * pairs_of(n).bind(b) * elements(*any_weight(n), b); },
    [](const NodeView& n, const Bindings& b) {
        // At most one expert per pair is read, and each once.
        const Value *x = n.in[0], *w = any_weight(n);
        const int64_t used = std::min(weights_here(n), pairs_of(n).bind(b));
        const int64_t element = w->dtype == VKS_F8_E4M3 ? 1 : w->dtype == VKS_F32 ? 4 : 2;
        return used * elements(*w, b) * element + elements(*x, b) * (x->dtype == VKS_F32 ? 4 : 2);
    },
    WeightUse::kByOffset,
};

}  // namespace vks
