// The two forms of latent attention, and what each costs (V2 report, section 2.1.2).
#pragma once
#include <string>

#include "frontend/io/config.h"

namespace vks {

// Operations of one layer's attention between q and o_proj.
struct AttentionWork {
    int64_t absorbed = 0;  // queries and outputs go through kv_b, once a token; attention is on the latents
    int64_t expanded = 0;  // cache rows go through kv_b, once a row; attention is on each head's keys and values
};

// For `tokens` tokens of one sequence, the first at position `first`; each sees those before it and itself.
AttentionWork attention_work(const ModelConfig& config, int64_t first, int64_t tokens);

// When a prompt's step takes the expanded form, in words and with this model's numbers.
std::string attention_rule(const ModelConfig& config);

}  // namespace vks
