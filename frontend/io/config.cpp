// config.json: what is read, in which range, and which relations hold between fields; and writing it again.
#include "frontend/io/config.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "frontend/io/json.h"
#include "frontend/io/json_fields.h"

namespace vks {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxFile = 16 << 20;

// Far above every released model, and low enough that products of a few of them fit 64 bits.
constexpr int64_t kMaxWidth = 1 << 20;  // of a vector: hidden, intermediate, ranks
constexpr int64_t kMaxHeads = 1 << 16;
constexpr int64_t kMaxHeadDim = 1 << 14;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxExperts = 1024;  // as ops.h says
constexpr int64_t kMaxVocabulary = 1 << 24;
constexpr int64_t kMaxPositions = 1 << 30;  // positions are int32
constexpr int64_t kMaxMtp = 64;
constexpr int64_t kMaxExpertsInAll = 1 << 20;  // experts × layers
constexpr double kMaxParameters = 1e17;
constexpr double kTiny = 1e-30;  // "above zero"

Status read_kind(const JsonFields& fields, ModelConfig& c) {
    VKS_ASSIGN(c.model_type, fields.text("model_type"));
    if (c.model_type != "deepseek_v3" && c.model_type != "kimi_k2") {
        return fields.error("model_type", "\"deepseek_v3\" or \"kimi_k2\"",
                            c.model_type.empty() ? "nothing" : quote(c.model_type, 60));
    }
    constexpr const char* kArchitecture = "DeepseekV3ForCausalLM";
    if (const json* architectures = fields.find("architectures")) {
        const bool known =
            architectures->is_array() && std::ranges::find(*architectures, json(kArchitecture)) != architectures->end();
        if (!known) {
            const json& found =
                architectures->is_array() && architectures->size() == 1 ? architectures->front() : *architectures;
            return fields.error("architectures", fmt::format("[\"{}\"]", kArchitecture), describe(found));
        }
    }
    VKS_TRY(fields.only("hidden_act", "silu"));
    VKS_TRY(fields.only("attention_bias", false));
    VKS_TRY(fields.only("rope_interleave", true));  // rotation of adjacent pairs; transformers' name for it
    return {};
}

Status read_sizes(const JsonFields& fields, ModelConfig& c) {
    VKS_ASSIGN(c.vocab_size, fields.integer("vocab_size", 1, kMaxVocabulary));
    VKS_ASSIGN(c.hidden_size, fields.integer("hidden_size", 1, kMaxWidth));
    VKS_ASSIGN(c.num_hidden_layers, fields.integer("num_hidden_layers", 1, kMaxLayers));
    VKS_ASSIGN(c.num_nextn_predict_layers, fields.integer("num_nextn_predict_layers", 0, kMaxMtp, 0));
    VKS_ASSIGN(c.max_position_embeddings, fields.integer("max_position_embeddings", 1, kMaxPositions));
    VKS_ASSIGN(c.rms_norm_eps, fields.number("rms_norm_eps", kTiny, 1));
    VKS_ASSIGN(c.tie_word_embeddings, fields.boolean("tie_word_embeddings", false));
    return {};
}

Status read_attention(const JsonFields& fields, ModelConfig& c) {
    VKS_ASSIGN(c.num_attention_heads, fields.integer("num_attention_heads", 1, kMaxHeads));
    VKS_ASSIGN(const int64_t kv_heads, fields.integer("num_key_value_heads", 1, kMaxHeads, c.num_attention_heads));
    if (kv_heads != c.num_attention_heads) {
        return fields.error("num_key_value_heads", fmt::format("num_attention_heads, {}", c.num_attention_heads),
                            std::to_string(kv_heads));
    }
    VKS_ASSIGN(c.q_lora_rank, fields.integer("q_lora_rank", 1, kMaxWidth, 0));
    VKS_ASSIGN(c.kv_lora_rank, fields.integer("kv_lora_rank", 1, kMaxWidth));
    VKS_ASSIGN(c.qk_nope_head_dim, fields.integer("qk_nope_head_dim", 1, kMaxHeadDim));
    VKS_ASSIGN(c.qk_rope_head_dim, fields.integer("qk_rope_head_dim", 2, kMaxHeadDim));
    if (c.qk_rope_head_dim % 2 != 0) {
        return fields.error("qk_rope_head_dim", "an even number", std::to_string(c.qk_rope_head_dim));
    }
    VKS_ASSIGN(c.v_head_dim, fields.integer("v_head_dim", 1, kMaxHeadDim));
    return {};
}

Status read_groups(const JsonFields& fields, ModelConfig& c) {
    // null is what configurations without group limits write; absent is not a way to say it.
    const bool no_groups = fields.is_null("n_group") && fields.is_null("topk_group");
    VKS_ASSIGN(c.n_group,
               fields.integer("n_group", 1, c.n_routed_experts, no_groups ? std::optional(1) : std::nullopt));
    VKS_ASSIGN(c.topk_group, fields.integer("topk_group", 1, c.n_group, no_groups ? std::optional(1) : std::nullopt));
    if (c.n_routed_experts % c.n_group != 0) {
        return fields.error("n_group", fmt::format("a divisor of n_routed_experts, {}", c.n_routed_experts),
                            std::to_string(c.n_group));
    }
    const int64_t group = c.n_routed_experts / c.n_group;
    if (c.n_group > 1 && group < 2) {
        return fields.error("n_group", "at least two experts a group, whose two best scores count",
                            fmt::format("{} groups of {}", c.n_group, group));
    }
    if (c.num_experts_per_tok > c.topk_group * group) {
        return fields.error(
            "num_experts_per_tok",
            fmt::format("at most the {} experts of topk_group {} groups", c.topk_group * group, c.topk_group),
            std::to_string(c.num_experts_per_tok));
    }
    return {};
}

Status read_experts(const JsonFields& fields, ModelConfig& c) {
    VKS_ASSIGN(c.first_k_dense_replace, fields.integer("first_k_dense_replace", 0, c.num_hidden_layers));
    VKS_TRY(fields.only("moe_layer_freq", 1));
    const bool all_dense = c.first_k_dense_replace == c.num_hidden_layers;
    if (c.first_k_dense_replace > 0 || fields.has("intermediate_size")) {
        VKS_ASSIGN(c.intermediate_size,
                   fields.integer("intermediate_size", c.first_k_dense_replace > 0 ? 1 : 0, kMaxWidth));
    }
    VKS_ASSIGN(c.n_routed_experts,
               fields.integer("n_routed_experts", 1, kMaxExperts, all_dense ? std::optional(0) : std::nullopt));
    if (c.n_routed_experts == 0) return {};

    VKS_ASSIGN(c.moe_intermediate_size, fields.integer("moe_intermediate_size", 1, kMaxWidth));
    VKS_ASSIGN(c.n_shared_experts, fields.integer("n_shared_experts", 0, 1024, 0));
    VKS_ASSIGN(c.num_experts_per_tok, fields.integer("num_experts_per_tok", 1, c.n_routed_experts));
    VKS_TRY(read_groups(fields, c));
    VKS_ASSIGN(c.norm_topk_prob, fields.boolean("norm_topk_prob", true));
    VKS_ASSIGN(c.routed_scaling_factor, fields.number("routed_scaling_factor", kTiny, 1e6));
    VKS_TRY(fields.only("scoring_func", "sigmoid"));
    VKS_TRY(fields.only("topk_method", "noaux_tc"));
    if (c.n_routed_experts * c.total_layers() > kMaxExpertsInAll) {
        return fields.error("n_routed_experts", fmt::format("at most {} experts in all layers", kMaxExpertsInAll),
                            std::to_string(c.n_routed_experts * c.total_layers()));
    }
    return {};
}

Result<YarnScaling> read_yarn(const JsonFields& fields) {
    YarnScaling yarn;
    VKS_ASSIGN(yarn.factor, fields.number("factor", 1, 1e6));
    VKS_ASSIGN(yarn.original_max_position_embeddings,
               fields.integer("original_max_position_embeddings", 1, kMaxPositions));
    VKS_ASSIGN(yarn.beta_fast, fields.number("beta_fast", kTiny, 1e6, 32));
    VKS_ASSIGN(yarn.beta_slow, fields.number("beta_slow", kTiny, 1e6, 1));
    if (yarn.beta_slow > yarn.beta_fast) {
        return fields.error("beta_slow", fmt::format("at most beta_fast, {}", yarn.beta_fast),
                            fmt::format("{}", yarn.beta_slow));
    }
    VKS_ASSIGN(yarn.mscale, fields.number("mscale", 0, 1e3, 1));
    VKS_ASSIGN(yarn.mscale_all_dim, fields.number("mscale_all_dim", 0, 1e3, 0));
    VKS_TRY(fields.only("truncate", true));
    if (const json* factor = fields.find("attention_factor")) {
        return fields.error("attention_factor", "mscale and mscale_all_dim instead", describe(*factor));
    }
    return yarn;
}

// rope_scaling or rope_parameters: nothing where it says "default".
Result<std::optional<YarnScaling>> read_scaling(const JsonFields& rope) {
    VKS_ASSIGN(const std::string old_name, rope.text("type"));
    VKS_ASSIGN(const std::string new_name, rope.text("rope_type"));
    if (!old_name.empty() && !new_name.empty() && old_name != new_name) {
        return rope.error("rope_type", "what type says, " + quote(old_name, 60), quote(new_name, 60));
    }
    const std::string& type = new_name.empty() ? old_name : new_name;
    if (type == "default" || (type.empty() && !rope.has("factor"))) return std::optional<YarnScaling>();
    if (type != "yarn") {
        return rope.error("type", "\"yarn\" or \"default\"", type.empty() ? "nothing" : quote(type, 60));
    }
    VKS_ASSIGN(const YarnScaling yarn, read_yarn(rope));
    return std::optional(yarn);
}

bool same(const std::optional<YarnScaling>& a, const std::optional<YarnScaling>& b) {
    const auto fields = [](const YarnScaling& y) {
        return std::tie(y.factor, y.original_max_position_embeddings, y.beta_fast, y.beta_slow, y.mscale,
                        y.mscale_all_dim);
    };
    return a.has_value() == b.has_value() && (!a || fields(*a) == fields(*b));
}

// Newer transformers write it into rope_parameters.
Result<double> read_theta(const JsonFields& fields, const std::optional<JsonFields>& parameters) {
    constexpr double kMin = 1.001, kMax = 1e12;  // above 1: ln(theta) is a divisor
    if (parameters && !fields.has("rope_theta")) return parameters->number("rope_theta", kMin, kMax);
    VKS_ASSIGN(const double theta, fields.number("rope_theta", kMin, kMax));
    if (!parameters) return theta;
    VKS_ASSIGN(const double second, parameters->number("rope_theta", kMin, kMax, theta));
    if (second != theta) {
        return parameters->error("rope_theta", fmt::format("what rope_theta says, {}", theta),
                                 fmt::format("{}", second));
    }
    return theta;
}

// rope_theta and rope_scaling as released, or newer transformers' rope_parameters for both. Readers differ in which
// they take, so what is there twice has to be the same.
Status read_rope(const JsonFields& fields, ModelConfig& c) {
    VKS_ASSIGN(const auto scaling, fields.object("rope_scaling"));
    VKS_ASSIGN(const auto parameters, fields.object("rope_parameters"));
    VKS_ASSIGN(c.rope_theta, read_theta(fields, parameters));
    const auto& rope = scaling ? scaling : parameters;
    if (!rope) return {};
    VKS_ASSIGN(c.rope_scaling, read_scaling(*rope));
    if (!scaling || !parameters) return {};
    VKS_ASSIGN(const auto second, read_scaling(*parameters));
    if (same(c.rope_scaling, second)) return {};
    return fields.error("rope_parameters", "what rope_scaling says", "something else");
}

Status read_quantization(const JsonFields& fields, ModelConfig& c) {
    VKS_ASSIGN(const auto quantization, fields.object("quantization_config"));
    if (!quantization) return {};
    if (!quantization->has("quant_method")) return quantization->error("quant_method", "\"fp8\"", "nothing");
    VKS_TRY(quantization->only("quant_method", "fp8"));
    // transformers loses fmt when it saves a model; without the two they are what they are in the release.
    VKS_TRY(quantization->only("fmt", "e4m3"));
    VKS_TRY(quantization->only("activation_scheme", "dynamic"));
    const json* block = quantization->find("weight_block_size");
    if (block == nullptr || *block != json::array({128, 128})) {
        return quantization->error("weight_block_size", "[128,128]",
                                   block == nullptr ? "nothing"
                                   : block->size() == 2
                                       ? fmt::format("[{},{}]", describe(block->front()), describe(block->back()))
                                       : describe(*block));
    }
    VKS_ASSIGN(const std::string scales, quantization->text("scale_fmt"));
    if (!scales.empty() && scales != "ue8m0" && scales != "float") {
        return quantization->error("scale_fmt", "\"ue8m0\" or \"float\"", quote(scales, 60));
    }
    c.fp8 = true;
    c.ue8m0_scales = scales == "ue8m0";
    return {};
}

// Each dimension is in range; together they may still be too much.
Status check_total(const JsonFields& fields, const ModelConfig& c) {
    const auto d = [](int64_t n) { return static_cast<double>(n); };
    const double heads = d(c.num_attention_heads), hidden = d(c.hidden_size);
    const double query = heads * d(c.qk_head_dim());
    const double attention =
        (c.q_lora_rank > 0 ? d(c.q_lora_rank) * (hidden + query) : hidden * query) + hidden * d(c.kv_cache_width()) +
        d(c.kv_lora_rank) * heads * d(c.qk_nope_head_dim + c.v_head_dim) + hidden * heads * d(c.v_head_dim);
    const double dense = 3 * hidden * d(c.intermediate_size);
    const double moe = 3 * hidden * d(c.moe_intermediate_size) * d(c.n_routed_experts + c.n_shared_experts);
    const double total = d(c.total_layers()) * (attention + dense + moe) +
                         d(c.num_nextn_predict_layers + 1) * 2 * hidden * (d(c.vocab_size) + hidden);
    if (total > kMaxParameters) {
        return fields.error("sizes", fmt::format("at most {} parameters", kMaxParameters),
                            fmt::format("{:.3g}", total));
    }
    return {};
}

}  // namespace

Result<ModelConfig> ModelConfig::load(const std::filesystem::path& dir) {
    const std::filesystem::path path = dir / "config.json";
    VKS_ASSIGN(const std::string text, read_file(path, kMaxFile));
    return parse(text, path.string());
}

Result<ModelConfig> ModelConfig::parse(std::string_view text, std::string_view file) {
    VKS_ASSIGN(const json document, parse_json(text, file));
    if (!document.is_object()) return bad_input("config ({}): wanted an object, found {}", file, describe(document));
    const JsonFields fields(document, file);
    ModelConfig c;
    VKS_TRY(read_kind(fields, c));
    VKS_TRY(read_sizes(fields, c));
    VKS_TRY(read_attention(fields, c));
    VKS_TRY(read_experts(fields, c));
    VKS_TRY(read_rope(fields, c));
    VKS_TRY(read_quantization(fields, c));
    VKS_TRY(check_total(fields, c));
    if (fields.has("bos_token_id")) {
        VKS_ASSIGN(const int64_t bos, fields.integer("bos_token_id", 0, c.vocab_size - 1));
        c.bos_token_id = static_cast<int32_t>(bos);
    }
    VKS_ASSIGN(c.eos_token_ids, fields.token_ids("eos_token_id", c.vocab_size));
    return c;
}

double ModelConfig::softmax_scale() const {
    const double plain = 1 / std::sqrt(static_cast<double>(qk_head_dim()));
    if (!rope_scaling) return plain;
    const double m = yarn_mscale(rope_scaling->factor, rope_scaling->mscale_all_dim);
    return plain * m * m;
}

double yarn_mscale(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1;
}

std::string config_json(const ModelConfig& c) {
    const auto or_null = [](int64_t value) { return value > 0 ? json(value) : json(nullptr); };
    json j = {{"architectures", {"DeepseekV3ForCausalLM"}},
              {"model_type", c.model_type},
              {"vocab_size", c.vocab_size},
              {"hidden_size", c.hidden_size},
              {"num_hidden_layers", c.num_hidden_layers},
              {"num_nextn_predict_layers", c.num_nextn_predict_layers},
              {"max_position_embeddings", c.max_position_embeddings},
              {"num_attention_heads", c.num_attention_heads},
              {"num_key_value_heads", c.num_attention_heads},
              {"q_lora_rank", or_null(c.q_lora_rank)},
              {"kv_lora_rank", c.kv_lora_rank},
              {"qk_nope_head_dim", c.qk_nope_head_dim},
              {"qk_rope_head_dim", c.qk_rope_head_dim},
              {"v_head_dim", c.v_head_dim},
              {"first_k_dense_replace", c.first_k_dense_replace},
              {"moe_layer_freq", 1},
              {"intermediate_size", or_null(c.intermediate_size)},
              {"hidden_act", "silu"},
              {"attention_bias", false},
              {"rms_norm_eps", c.rms_norm_eps},
              {"rope_theta", c.rope_theta},
              {"rope_scaling", nullptr},
              {"tie_word_embeddings", c.tie_word_embeddings},
              {"torch_dtype", "bfloat16"}};
    if (c.n_routed_experts > 0) {
        j.update({{"moe_intermediate_size", c.moe_intermediate_size},
                  {"n_routed_experts", c.n_routed_experts},
                  {"n_shared_experts", c.n_shared_experts},
                  {"num_experts_per_tok", c.num_experts_per_tok},
                  {"n_group", c.n_group},
                  {"topk_group", c.topk_group},
                  {"norm_topk_prob", c.norm_topk_prob},
                  {"routed_scaling_factor", c.routed_scaling_factor},
                  {"scoring_func", "sigmoid"},
                  {"topk_method", "noaux_tc"}});
    }
    if (const auto& yarn = c.rope_scaling) {
        j["rope_scaling"] = {{"type", "yarn"},
                             {"factor", yarn->factor},
                             {"original_max_position_embeddings", yarn->original_max_position_embeddings},
                             {"beta_fast", yarn->beta_fast},
                             {"beta_slow", yarn->beta_slow},
                             {"mscale", yarn->mscale},
                             {"mscale_all_dim", yarn->mscale_all_dim}};
    }
    if (c.fp8) {
        j["quantization_config"] = {{"quant_method", "fp8"},
                                    {"fmt", "e4m3"},
                                    {"activation_scheme", "dynamic"},
                                    {"weight_block_size", {128, 128}}};
        if (c.ue8m0_scales) j["quantization_config"]["scale_fmt"] = "ue8m0";
    }
    if (c.bos_token_id) j["bos_token_id"] = *c.bos_token_id;
    if (c.eos_token_ids.size() == 1) j["eos_token_id"] = c.eos_token_ids.front();
    if (c.eos_token_ids.size() > 1) j["eos_token_id"] = c.eos_token_ids;
    return j.dump(2) + "\n";
}

}  // namespace vks
