// The shapes known by name, and changing them.
#include "frontend/model/shapes.h"

#include <algorithm>
#include <filesystem>

#include "backend/base/bad_input.h"
#include "frontend/io/json.h"

namespace vks {
namespace {

constexpr YarnScaling kYarn40 = {40, 4096, 32, 1, 1, 1};

// config.json of deepseek-ai/DeepSeek-V3; V3-0324 and R1 have the same.
ModelConfig deepseek_v3() {
    ModelConfig c;
    c.vocab_size = 129280;
    c.hidden_size = 7168;
    c.num_hidden_layers = 61;
    c.num_nextn_predict_layers = 1;
    c.max_position_embeddings = 163840;
    c.num_attention_heads = 128;
    c.q_lora_rank = 1536;
    c.kv_lora_rank = 512;
    c.qk_nope_head_dim = 128;
    c.qk_rope_head_dim = 64;
    c.v_head_dim = 128;
    c.first_k_dense_replace = 3;
    c.intermediate_size = 18432;
    c.moe_intermediate_size = 2048;
    c.n_routed_experts = 256;
    c.n_shared_experts = 1;
    c.num_experts_per_tok = 8;
    c.n_group = 8;
    c.topk_group = 4;
    c.routed_scaling_factor = 2.5;
    c.rope_scaling = kYarn40;
    c.fp8 = true;
    c.bos_token_id = 0;
    c.eos_token_ids = {1};
    return c;
}

ModelConfig kimi_k2() {
    ModelConfig c = deepseek_v3();
    c.model_type = "kimi_k2";
    c.vocab_size = 163840;
    c.num_nextn_predict_layers = 0;
    c.max_position_embeddings = 131072;
    c.num_attention_heads = 64;
    c.first_k_dense_replace = 1;
    c.n_routed_experts = 384;
    c.n_group = 1;
    c.topk_group = 1;
    c.routed_scaling_factor = 2.827;
    c.rope_theta = 50000;
    c.rope_scaling = YarnScaling{32, 4096, 1, 1, 1, 1};
    c.bos_token_id = 163584;
    c.eos_token_ids = {163585};
    return c;
}

ModelConfig moonlight() {
    ModelConfig c = kimi_k2();
    c.model_type = "deepseek_v3";
    c.hidden_size = 2048;
    c.num_hidden_layers = 27;
    c.max_position_embeddings = 8192;
    c.num_attention_heads = 16;
    c.q_lora_rank = 0;
    c.intermediate_size = 11264;
    c.moe_intermediate_size = 1408;
    c.n_routed_experts = 64;
    c.n_shared_experts = 2;
    c.num_experts_per_tok = 6;
    c.routed_scaling_factor = 2.446;
    c.rms_norm_eps = 1e-5;
    c.rope_scaling.reset();
    return c;
}

// ai-sage/GigaChat3-10B-A1.8B: values wider than keys, and every query projected directly. Layers, vocabulary, heads
// and their sizes, experts and theirs are as published beside its release (docs/memory.md); the dense layer's width,
// YaRN and rope_theta are from memory.
ModelConfig gigachat3() {
    ModelConfig c = moonlight();
    c.vocab_size = 128256;
    c.hidden_size = 1536;
    c.num_hidden_layers = 26;
    c.num_nextn_predict_layers = 1;
    c.max_position_embeddings = 262144;
    c.num_attention_heads = 32;
    c.v_head_dim = 192;
    c.intermediate_size = 8960;
    c.moe_intermediate_size = 1280;
    c.n_shared_experts = 1;
    c.num_experts_per_tok = 4;
    c.routed_scaling_factor = 1;
    c.rms_norm_eps = 1e-6;
    c.rope_theta = 100000;
    c.rope_scaling = YarnScaling{64, 4096, 32, 1, 1, 1};
    c.bos_token_id = 1;
    c.eos_token_ids = {2};
    return c;
}

// The same weights as V3, made for activations whose scales are powers of two.
ModelConfig deepseek_v31() {
    ModelConfig c = deepseek_v3();
    c.ue8m0_scales = true;
    return c;
}

// The models bench/ compares speed on: 92 million parameters here, 1.14 billion below.
ModelConfig bench_s() {
    ModelConfig c = deepseek_v3();
    c.vocab_size = 8192;
    c.hidden_size = 512;
    c.num_hidden_layers = 6;
    c.num_nextn_predict_layers = 0;
    c.num_attention_heads = 8;
    c.q_lora_rank = 384;
    c.first_k_dense_replace = 1;
    c.intermediate_size = 2048;
    c.moe_intermediate_size = 256;
    c.n_routed_experts = 32;
    return c;
}

ModelConfig bench_m() {
    ModelConfig c = bench_s();
    c.hidden_size = 1024;
    c.num_hidden_layers = 11;
    c.num_attention_heads = 16;
    c.q_lora_rank = 768;
    c.intermediate_size = 4096;
    c.moe_intermediate_size = 512;
    c.n_routed_experts = 64;
    return c;
}

// models/demo
ModelConfig demo() {
    ModelConfig c = deepseek_v3();
    c.vocab_size = 4096;
    c.hidden_size = 256;
    c.num_hidden_layers = 4;
    c.max_position_embeddings = 4096;
    c.num_attention_heads = 4;
    c.q_lora_rank = 192;
    c.kv_lora_rank = 128;
    c.qk_nope_head_dim = 64;
    c.qk_rope_head_dim = 32;
    c.v_head_dim = 64;
    c.first_k_dense_replace = 1;
    c.intermediate_size = 768;
    c.moe_intermediate_size = 128;
    c.n_routed_experts = 16;
    c.num_experts_per_tok = 4;
    c.n_group = 4;
    c.topk_group = 2;
    c.routed_scaling_factor = 1.5;
    c.rope_scaling.reset();
    return c;
}

struct NamedShape {
    std::string_view name;
    ModelConfig (*make)();
};
constexpr NamedShape kShapes[] = {{"deepseek-v3", deepseek_v3},
                                  {"deepseek-v3-0324", deepseek_v3},
                                  {"deepseek-r1", deepseek_v3},
                                  {"deepseek-v3.1", deepseek_v31},
                                  {"kimi-k2", kimi_k2},
                                  {"moonlight-16b-a3b", moonlight},
                                  {"gigachat3-10b-a1.8b", gigachat3},
                                  {"demo", demo},
                                  {"bench-s", bench_s},
                                  {"bench-m", bench_m}};

void set_experts(ModelConfig& c, int64_t experts) {
    const int64_t old_groups = c.n_group;
    c.n_routed_experts = experts;
    while (c.n_group > 1 && (experts % c.n_group != 0 || experts / c.n_group < 2)) c.n_group /= 2;
    c.topk_group = std::max<int64_t>(1, c.topk_group * c.n_group / old_groups);
    c.num_experts_per_tok = std::min(c.num_experts_per_tok, c.topk_group * (experts / c.n_group));
}

}  // namespace

std::vector<std::string_view> shape_names() {
    std::vector<std::string_view> names;
    for (const NamedShape& shape : kShapes) names.push_back(shape.name);
    return names;
}

Result<ModelConfig> named_shape(std::string_view name, std::string_view option) {
    for (const NamedShape& shape : kShapes) {
        if (shape.name == name) return shape.make();
    }
    if (name.find('/') == std::string_view::npos && !name.ends_with(".json")) {
        return Error{Code::kUsage, fmt::format("shape ({}): wanted {} or a .json file, found {}", option,
                                               fmt::join(shape_names(), ", "), quote(name))};
    }
    VKS_ASSIGN(const std::string text, read_file(std::filesystem::path(name), 16 << 20));
    return ModelConfig::parse(text, name);
}

Result<ModelConfig> override_shape(const ModelConfig& shape, const ShapeOverrides& overrides) {
    ModelConfig c = shape;
    if (overrides.layers) {
        c.num_hidden_layers = *overrides.layers;
        c.num_nextn_predict_layers = 0;
        c.first_k_dense_replace = std::min(c.first_k_dense_replace, c.num_hidden_layers);
    }
    if (overrides.dense) c.first_k_dense_replace = *overrides.dense;
    if (overrides.mtp) c.num_nextn_predict_layers = *overrides.mtp;
    if (overrides.experts) {
        if (*overrides.experts < 1) {
            return bad_input("experts (--experts): wanted at least 1, found {}", *overrides.experts);
        }
        set_experts(c, *overrides.experts);
    }
    std::vector<std::string> given;
    if (overrides.layers) given.emplace_back("--layers");
    if (overrides.dense) given.emplace_back("--dense");
    if (overrides.experts) given.emplace_back("--experts");
    if (overrides.mtp) given.emplace_back("--mtp");
    // The checks of a file's configuration are the checks here.
    return ModelConfig::parse(config_json(c), fmt::format("{}", fmt::join(given, ", ")));
}

}  // namespace vks
