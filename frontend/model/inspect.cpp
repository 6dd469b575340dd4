// Counting parameters and bytes.
#include "frontend/model/inspect.h"

namespace vks {
namespace {

void add(ModelStats& stats, TensorKind kind, int64_t parameters, uint64_t bytes) {
    KindStats& at = stats.kinds[static_cast<size_t>(kind)];
    at.tensors += 1;
    at.parameters += parameters;
    at.bytes += bytes;
    stats.bytes += bytes;
}

void add_scale(ModelStats& stats, const TensorSpec& spec, uint64_t bytes) {
    add(stats, spec.kind == TensorKind::kMtp ? TensorKind::kMtp : TensorKind::kScales, 0, bytes);
}

void count_parameters(ModelStats& stats, const ModelConfig& config, const TensorSpec& spec) {
    const int64_t elements = spec.elements();
    if (spec.kind == TensorKind::kMtp) {
        if (!spec.embedding && !spec.head) stats.mtp_parameters += elements;
        return;
    }
    stats.parameters += elements;
    // Experts are alike, so each stands for the share of them that a token is routed to.
    if (spec.kind == TensorKind::kExperts) return;
    if (!spec.embedding || config.tie_word_embeddings) stats.active_parameters += elements;
}

void finish(ModelStats& stats, const ModelConfig& c) {
    if (c.n_routed_experts > 0) {
        stats.active_parameters += stats[TensorKind::kExperts].parameters / c.n_routed_experts * c.num_experts_per_tok;
    }
    stats.kv_values_per_token = c.num_hidden_layers * c.kv_cache_width();
    stats.kv_bytes_per_token = 2 * stats.kv_values_per_token;
    const auto ratio = [&](int64_t key_dim) {
        return static_cast<double>(c.num_attention_heads * (key_dim + c.v_head_dim)) /
               static_cast<double>(c.kv_cache_width());
    };
    stats.plain_cache_ratio = ratio(c.qk_nope_head_dim);
    stats.expanded_cache_ratio = ratio(c.qk_head_dim());
}

}  // namespace

TensorBytes released_bytes(const ModelConfig& config, const TensorSpec& spec) {
    const bool fp8 = config.fp8 && spec.may_be_fp8;
    const int64_t width = fp8 ? 1 : spec.router_bias ? 4 : 2;
    const int64_t scales = fp8 ? 4 * scale_blocks(spec.rows) * scale_blocks(spec.cols) : 0;
    return {static_cast<uint64_t>(spec.elements() * width), static_cast<uint64_t>(scales)};
}

ModelStats shape_stats(const ModelConfig& config) {
    ModelStats stats;
    const Status status = for_each_tensor(config, [&](const TensorSpec& spec) -> Status {
        if (spec.optional) return {};
        const TensorBytes bytes = released_bytes(config, spec);
        add(stats, spec.kind, spec.elements(), bytes.weight);
        if (bytes.scale > 0) add_scale(stats, spec, bytes.scale);
        count_parameters(stats, config, spec);
        return {};
    });
    CHECK(status, "counting tensors failed: {}", status.error().text);
    finish(stats, config);
    return stats;
}

ModelStats checkpoint_stats(const Checkpoint& checkpoint) {
    ModelStats stats;
    const ModelConfig& config = checkpoint.config();
    const Status status = for_each_tensor(config, [&](const TensorSpec& spec) -> Status {
        const TensorView* tensor = checkpoint.find(spec.name);
        if (tensor == nullptr) return {};  // an optional one: open() verified the others
        add(stats, spec.kind, spec.elements(), tensor->bytes);
        if (const TensorView* scale = checkpoint.find(scale_name(spec.name))) add_scale(stats, spec, scale->bytes);
        count_parameters(stats, config, spec);
        return {};
    });
    CHECK(status, "counting tensors failed: {}", status.error().text);
    stats.unused_bytes = checkpoint.tensor_bytes() - stats.bytes;
    finish(stats, config);
    return stats;
}

}  // namespace vks
