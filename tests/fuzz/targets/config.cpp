// config.json and generation_config.json: what is accepted is consistent, and survives being written and read again.
#include <cmath>

#include "frontend/io/config.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {
namespace {

void check_config(const ModelConfig& config) {
    CHECK(config.hidden_size > 0 && config.vocab_size > 0 && config.total_layers() > 0, "an empty model");
    CHECK(std::isfinite(config.softmax_scale()) && config.softmax_scale() > 0, "scale {}", config.softmax_scale());
    CHECK(config.kv_cache_width() > 0 && config.qk_rope_head_dim % 2 == 0, "width {}", config.kv_cache_width());
    if (config.n_routed_experts > 0) {
        CHECK(config.n_routed_experts % config.n_group == 0, "{} groups", config.n_group);
        CHECK(config.num_experts_per_tok <= config.n_routed_experts / config.n_group * config.topk_group,
              "{} experts a token", config.num_experts_per_tok);
    } else {
        CHECK(!config.is_moe(config.total_layers() - 1), "a mixture of no experts");
    }
    for (const int32_t id : config.eos_token_ids) CHECK(id >= 0 && id < config.vocab_size, "id {}", id);
    const std::string written = config_json(config);
    const auto again = ModelConfig::parse(written, "written");
    CHECK(again && config_json(*again) == written, "not read back: {}", again ? written : again.error().text);
}

}  // namespace

void run_input(std::string_view input) {
    const auto config = ModelConfig::parse(input, "file");
    if (const auto* found = accepted(config)) check_config(*found);
    constexpr int64_t kVocabulary = 1000;
    const auto generation = GenerationDefaults::parse(input, "file", kVocabulary);
    if (const auto* found = accepted(generation)) {
        for (const int32_t id : found->eos_token_ids) CHECK(id >= 0 && id < kVocabulary, "id {}", id);
        CHECK(!found->temperature || *found->temperature >= 0, "temperature {}", *found->temperature);
        CHECK(!found->top_p || (*found->top_p >= 0 && *found->top_p <= 1), "top_p {}", *found->top_p);
    }
}

}  // namespace vks::fuzz
