// What config.json and generation_config.json say, checked: types, ranges, the relations between fields, and that it is
// the architecture this program implements. Everything else in those files is ignored.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"

namespace vks {

// Context extension by YaRN (arXiv:2309.00071); always on when the file has it, whatever the prompt's length.
struct YarnScaling {
    double factor = 1;
    int64_t original_max_position_embeddings = 4096;
    double beta_fast = 32, beta_slow = 1;
    double mscale = 1, mscale_all_dim = 0;
};

// A model of the DeepSeek-V3 architecture (arXiv:2412.19437). Fields have config.json's names.
struct ModelConfig {
    std::string model_type = "deepseek_v3";  // or "kimi_k2", the same architecture
    int64_t vocab_size = 0;
    int64_t hidden_size = 0;
    int64_t num_hidden_layers = 0;         // without MTP modules
    int64_t num_nextn_predict_layers = 0;  // MTP modules; module k = 1.. is layer num_hidden_layers + k - 1
    int64_t max_position_embeddings = 0;

    int64_t num_attention_heads = 0;
    int64_t q_lora_rank = 0;  // 0: queries are projected directly (null in the file)
    int64_t kv_lora_rank = 0;
    int64_t qk_nope_head_dim = 0;
    int64_t qk_rope_head_dim = 0;  // even
    int64_t v_head_dim = 0;

    int64_t first_k_dense_replace = 0;  // so many layers are dense, the others mixtures of experts
    int64_t intermediate_size = 0;      // 0 only if no layer is dense
    int64_t moe_intermediate_size = 0;
    int64_t n_routed_experts = 0;  // 0: every layer is dense, and the fields from here to routed_scaling_factor too
    int64_t n_shared_experts = 0;
    int64_t num_experts_per_tok = 0;
    int64_t n_group = 1;     // divides n_routed_experts; at least two experts a group if there are several
    int64_t topk_group = 1;  // groups kept; they hold at least num_experts_per_tok experts
    bool norm_topk_prob = true;
    double routed_scaling_factor = 1;

    double rms_norm_eps = 1e-6;
    double rope_theta = 10000;
    std::optional<YarnScaling> rope_scaling;
    bool tie_word_embeddings = false;

    bool fp8 = false;           // quantization_config: e4m3 weights with a scale for each 128×128 block
    bool ue8m0_scales = false;  // its scale_fmt: activation scales are powers of two

    std::optional<int32_t> bos_token_id;
    std::vector<int32_t> eos_token_ids;

    // Reads DIR/config.json. Errors name the file and the field.
    static Result<ModelConfig> load(const std::filesystem::path& dir);
    // The same from the text of the file; `file` is its name for messages.
    static Result<ModelConfig> parse(std::string_view text, std::string_view file);

    // Hidden layers and MTP modules.
    int64_t total_layers() const { return num_hidden_layers + num_nextn_predict_layers; }
    // layer < total_layers(); MTP modules are mixtures of experts wherever the model has experts.
    bool is_moe(int64_t layer) const { return n_routed_experts > 0 && layer >= first_k_dense_replace; }
    int64_t qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
    // Cached per token and layer: the normalised latent c_kv and the rotated k_pe (V3 report, section 2.1.1).
    int64_t kv_cache_width() const { return kv_lora_rank + qk_rope_head_dim; }
    // What q·k is multiplied by: (nope + rope)^-1/2, and with YaRN m(mscale_all_dim)^2 (YaRN section 3.4, as in the
    // released modeling_deepseek.py).
    double softmax_scale() const;
};

// YaRN's magnitude m(scale) = 0.1·scale·ln(factor) + 1; 1 if factor <= 1.
double yarn_mscale(double factor, double scale);

// Text of a config.json that parse() reads back as the same configuration.
std::string config_json(const ModelConfig& config);

// How the authors of a checkpoint want it sampled; what generation_config.json doesn't say is empty.
struct GenerationDefaults {
    std::optional<bool> do_sample;
    std::optional<double> temperature;         // >= 0
    std::optional<double> top_p;               // 0 to 1
    std::optional<double> min_p;               // 0 to 1
    std::optional<int64_t> top_k;              // >= 0
    std::optional<double> repetition_penalty;  // > 0
    std::vector<int32_t> eos_token_ids;        // instead of the configuration's if not empty

    // Reads DIR/generation_config.json; a missing file gives the empty defaults.
    static Result<GenerationDefaults> load(const std::filesystem::path& dir, int64_t vocab_size);
    static Result<GenerationDefaults> parse(std::string_view text, std::string_view file, int64_t vocab_size);
};

}  // namespace vks
