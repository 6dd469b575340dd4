#include "backend/ops/rule.h"

namespace vks {

// q [T, heads*(nope+rope)], q_pe [T, heads*rope], cache [C, lora+rope] (state), w [heads*(nope+v), lora], w_scale?,
// span i32 [T,2] -> [T, heads*v]
extern const OpRule rule_mla_expanded = {
    "mla_expanded/1",
    6,
    6,
    sizeof(vks_mla_expanded_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const auto& p = n.get<vks_mla_expanded_params>();
        const int64_t heads = p.heads, nope = p.nope, rope = p.rope, v = p.v, lora = p.lora;
        const Value *q = n.in[0], *pe = n.in[1], *cache = n.in[2], *w = n.in[3];
        if (!is_act(q, 2) || q->shape[1] != fixed(heads * (nope + rope)))
            return shape_error("q", fmt::format("an activation [T, {}]", heads * (nope + rope)), q);
        const Dim tokens = q->shape[0];
        if (!is_act(pe, 2) || pe->dtype != q->dtype || pe->shape != Dims{tokens, fixed(heads * rope)})
            return shape_error("q_pe", fmt::format("q's dtype [T, {}]", heads * rope), pe);
        if (!is_act(cache, 2) || cache->dtype != q->dtype || cache->shape[1] != fixed(lora + rope))
            return shape_error("cache", fmt::format("q's dtype [C, {}]", lora + rope), cache);
        if (!is_matrix(w) || w->shape != Dims{fixed(heads * (nope + v)), fixed(lora)})
            return shape_error("w", "[heads*(nope+v), lora]", w);
        if (std::string problem = scale_problem(w, n.in[4]); !problem.empty()) return Error{Code::kBadInput, problem};
        if (!is_table(n.in[5], VKS_I32, {tokens, fixed(2)})) return shape_error("span", "i32 [T, 2]", n.in[5]);
        return std::vector<Dims>{{tokens, fixed(heads * v)}};
    },
    [](const NodeView& n, const Bindings& b) {
        // At a full cache: keys and values of all its rows, scores over nope + rope, then the weighted sum over v.
        const auto& p = n.get<vks_mla_expanded_params>();
        const int64_t tokens = n.in[0]->shape[0].bind(b), rows = n.in[2]->shape[0].bind(b);
        const int64_t heads = p.heads, nope = p.nope, v = p.v;
        return 2 * heads * rows * (p.lora * (nope + v) + tokens * (nope + p.rope + v));
    },
    nullptr,
};

}  // namespace vks
