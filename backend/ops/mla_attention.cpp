#include "backend/ops/rule.h"

namespace vks {

// q_lat [T, heads*lora], q_pe [T, heads*rope], cache [C, lora+rope] (state), span i32 [T,2] -> [T, heads*lora]
extern const OpRule rule_mla_attention = {
    "mla_attention/1",
    4,
    4,
    sizeof(vks_mla_attention_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const auto& p = n.get<vks_mla_attention_params>();
        const int64_t heads = p.heads, lora = p.lora, rope = p.rope;
        const Value *q = n.in[0], *pe = n.in[1], *cache = n.in[2];
        if (!is_act(q, 2) || q->shape[1] != fixed(heads * lora))
            return shape_error("q_lat", fmt::format("an activation [T, {}]", heads * lora), q);
        const Dim tokens = q->shape[0];
        if (!is_act(pe, 2) || pe->shape != Dims{tokens, fixed(heads * rope)})
            return shape_error("q_pe", fmt::format("an activation [T, {}]", heads * rope), pe);
        if (!is_act(cache, 2) || cache->shape[1] != fixed(lora + rope))
            return shape_error("cache", fmt::format("an activation [C, {}]", lora + rope), cache);
        if (!is_table(n.in[3], VKS_I32, {tokens, fixed(2)})) return shape_error("span", "i32 [T, 2]", n.in[3]);
        return std::vector<Dims>{q->shape};
    },
    [](const NodeView& n, const Bindings& b) {
        // At a full cache: scores over lora + rope, then the weighted sum over lora.
        const auto& p = n.get<vks_mla_attention_params>();
        return 2 * n.in[0]->shape[0].bind(b) * p.heads * n.in[2]->shape[0].bind(b) * (2 * int64_t(p.lora) + p.rope);
    },
    nullptr,
};

}  // namespace vks
