#include "backend/ops/rule.h"

namespace vks {

// q, kv, w [lora], table f32 [T,rope], slot i32 [T] -> cache [C, lora+rope] (state), q_pe [T, heads*rope]
extern const OpRule rule_mla_rope_append = {
    "mla_rope_append/1",
    5,
    5,
    sizeof(vks_mla_rope_append_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const auto& p = n.get<vks_mla_rope_append_params>();
        const int64_t heads = p.heads, lora = p.lora, rope = p.rope;
        const Value *q = n.in[0], *kv = n.in[1];
        if (!is_act(q, 2) || q->shape[1] != fixed(heads * (p.nope + rope)))
            return shape_error("q", fmt::format("an activation [T, {}]", heads * (p.nope + rope)), q);
        const Dim tokens = q->shape[0];
        if (!is_act(kv, 2) || kv->shape != Dims{tokens, fixed(lora + rope)})
            return shape_error("kv", fmt::format("an activation [T, {}]", lora + rope), kv);
        if (!is_vector(n.in[2], lora)) return shape_error("w", "[lora]", n.in[2]);
        if (!is_table(n.in[3], VKS_F32, {tokens, fixed(rope)})) return shape_error("table", "f32 [T, rope]", n.in[3]);
        if (!is_table(n.in[4], VKS_I32, {tokens})) return shape_error("slot", "i32 [T]", n.in[4]);
        return std::vector<Dims>{{}, {tokens, fixed(heads * rope)}};  // the cache's length is the caller's
    },
    [](const NodeView& n, const Bindings& b) { return 4 * elements(*n.in[1], b) + 3 * elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
