// The walk over all weights of a model.
#include "frontend/model/layout.h"

namespace vks {
namespace {

// One pass over a model; keeps the layer it is in.
class Walk {
public:
    Walk(const ModelConfig& config, const std::function<Status(const TensorSpec&)>& visit)
        : config_(config), visit_(visit) {}

    Status run() {
        const int64_t hidden = config_.hidden_size, vocabulary = config_.vocab_size;
        VKS_TRY(emit({.name = "model.embed_tokens.weight",
                      .kind = TensorKind::kEmbedding,
                      .rows = vocabulary,
                      .cols = hidden,
                      .embedding = true}));
        for (int64_t l = 0; l < config_.num_hidden_layers; ++l) VKS_TRY(layer(l));
        VKS_TRY(emit({.name = "model.norm.weight", .kind = TensorKind::kNorms, .rows = hidden}));
        VKS_TRY(emit({.name = "lm_head.weight",
                      .kind = TensorKind::kHead,
                      .rows = vocabulary,
                      .cols = hidden,
                      .head = true,
                      .optional = config_.tie_word_embeddings}));
        for (int64_t l = config_.num_hidden_layers; l < config_.total_layers(); ++l) VKS_TRY(mtp_module(l));
        return {};
    }

private:
    Status emit(TensorSpec spec) {
        spec.layer = layer_;
        spec.expert = expert_;
        if (mtp_) spec.kind = TensorKind::kMtp;
        return visit_(spec);
    }
    Status norm(const char* name, int64_t size) {
        return emit({.name = prefix_ + name + ".weight", .kind = TensorKind::kNorms, .rows = size});
    }
    Status matrix(const std::string& name, TensorKind kind, int64_t rows, int64_t cols) {
        return emit({.name = prefix_ + name + ".weight", .kind = kind, .rows = rows, .cols = cols, .may_be_fp8 = true});
    }

    Status layer(int64_t index) {
        layer_ = index;
        prefix_ = layer_prefix(index);
        VKS_TRY(norm("input_layernorm", config_.hidden_size));
        VKS_TRY(attention());
        VKS_TRY(norm("post_attention_layernorm", config_.hidden_size));
        VKS_TRY(config_.is_moe(index) ? experts() : ffn("mlp.", TensorKind::kDenseFfn, config_.intermediate_size));
        layer_ = -1;
        return {};
    }

    // Multi-head latent attention (V3 report, section 2.1.1).
    Status attention() {
        const ModelConfig& c = config_;
        const int64_t query = c.num_attention_heads * c.qk_head_dim();
        constexpr auto kKind = TensorKind::kAttention;
        if (c.q_lora_rank > 0) {
            VKS_TRY(matrix("self_attn.q_a_proj", kKind, c.q_lora_rank, c.hidden_size));
            VKS_TRY(norm("self_attn.q_a_layernorm", c.q_lora_rank));
            VKS_TRY(matrix("self_attn.q_b_proj", kKind, query, c.q_lora_rank));
        } else {
            VKS_TRY(matrix("self_attn.q_proj", kKind, query, c.hidden_size));
        }
        VKS_TRY(matrix("self_attn.kv_a_proj_with_mqa", kKind, c.kv_cache_width(), c.hidden_size));
        VKS_TRY(norm("self_attn.kv_a_layernorm", c.kv_lora_rank));
        VKS_TRY(matrix("self_attn.kv_b_proj", kKind, c.num_attention_heads * (c.qk_nope_head_dim + c.v_head_dim),
                       c.kv_lora_rank));
        return matrix("self_attn.o_proj", kKind, c.hidden_size, c.num_attention_heads * c.v_head_dim);
    }

    Status ffn(const std::string& name, TensorKind kind, int64_t width) {
        VKS_TRY(matrix(name + "gate_proj", kind, width, config_.hidden_size));
        VKS_TRY(matrix(name + "up_proj", kind, width, config_.hidden_size));
        return matrix(name + "down_proj", kind, config_.hidden_size, width);
    }

    // DeepSeekMoE (V3 report, section 2.1.2).
    Status experts() {
        const ModelConfig& c = config_;
        VKS_TRY(emit({.name = prefix_ + "mlp.gate.weight",
                      .kind = TensorKind::kRouter,
                      .rows = c.n_routed_experts,
                      .cols = c.hidden_size}));
        VKS_TRY(emit({.name = prefix_ + "mlp.gate.e_score_correction_bias",
                      .kind = TensorKind::kRouter,
                      .rows = c.n_routed_experts,
                      .router_bias = true}));
        for (expert_ = 0; expert_ < c.n_routed_experts; ++expert_) {
            const std::string name = "mlp.experts." + std::to_string(expert_) + ".";
            VKS_TRY(ffn(name, TensorKind::kExperts, c.moe_intermediate_size));
        }
        expert_ = -1;
        if (c.n_shared_experts == 0) return {};
        return ffn("mlp.shared_experts.", TensorKind::kSharedExperts, c.n_shared_experts * c.moe_intermediate_size);
    }

    // Multi-token prediction (V3 report, section 2.2): a layer between a merge of two inputs and a head.
    Status mtp_module(int64_t index) {
        mtp_ = true;
        const int64_t hidden = config_.hidden_size, vocabulary = config_.vocab_size;
        VKS_TRY(layer(index));
        layer_ = index;
        VKS_TRY(emit({.name = prefix_ + "embed_tokens.weight", .rows = vocabulary, .cols = hidden, .embedding = true}));
        VKS_TRY(norm("enorm", hidden));
        VKS_TRY(norm("hnorm", hidden));
        VKS_TRY(emit({.name = prefix_ + "eh_proj.weight", .rows = hidden, .cols = 2 * hidden}));
        VKS_TRY(norm("shared_head.norm", hidden));
        return emit({.name = prefix_ + "shared_head.head.weight", .rows = vocabulary, .cols = hidden, .head = true});
    }

    const ModelConfig& config_;
    const std::function<Status(const TensorSpec&)>& visit_;
    int64_t layer_ = -1, expert_ = -1;
    bool mtp_ = false;
    std::string prefix_;
};

}  // namespace

std::string layer_prefix(int64_t layer) {
    return "model.layers." + std::to_string(layer) + ".";
}

Status for_each_tensor(const ModelConfig& config, const std::function<Status(const TensorSpec&)>& visit) {
    return Walk(config, visit).run();
}

}  // namespace vks
