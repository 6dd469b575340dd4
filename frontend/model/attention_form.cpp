#include "frontend/model/attention_form.h"

#include <fmt/format.h>

namespace vks {

AttentionWork attention_work(const ModelConfig& c, int64_t first, int64_t tokens) {
    const int64_t rows = first + tokens, pairs = tokens * first + tokens * (tokens + 1) / 2;
    const int64_t through = c.kv_lora_rank * (c.qk_nope_head_dim + c.v_head_dim);
    const int64_t latent = 2 * c.kv_lora_rank + c.qk_rope_head_dim;
    const int64_t own = c.qk_nope_head_dim + c.qk_rope_head_dim + c.v_head_dim;
    return {2 * c.num_attention_heads * (tokens * through + pairs * latent),
            2 * c.num_attention_heads * (rows * through + pairs * own)};
}

std::string attention_rule(const ModelConfig& c) {
    const int64_t through = c.kv_lora_rank * (c.qk_nope_head_dim + c.v_head_dim);
    return fmt::format(
        "attention expanded: steps of a prompt where {} (rows - tokens) < {} pairs of a token and a row it sees",
        through, 2 * c.kv_lora_rank - c.qk_nope_head_dim - c.v_head_dim);
}

}  // namespace vks
