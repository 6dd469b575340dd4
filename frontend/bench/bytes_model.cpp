#include "frontend/bench/bytes_model.h"

#include <algorithm>
#include <cmath>

#include "frontend/model/layout.h"

namespace vks::bench {
namespace {

double weight_bytes(const TensorSpec& spec, const ModelConfig& config) {
    const auto n = double(spec.elements());
    if (spec.router_bias) return 4 * n;
    if (!config.fp8 || !spec.may_be_fp8) return 2 * n;
    return n + 4 * double(scale_blocks(spec.rows) * scale_blocks(spec.cols));
}

// The module that a tensor belongs to; the release repeats embedding and head in every MTP module.
int module_of(const TensorSpec& spec, const ModelConfig& config) {
    return int(std::max<int64_t>(0, spec.layer - config.num_hidden_layers + 1));
}

}  // namespace

double expected_experts(double experts, double chosen, int64_t rows, Routing routing) {
    if (experts <= 0) return 0;
    if (routing == Routing::kCoincide) return chosen;
    return experts * (1 - std::pow(1 - chosen / experts, double(rows)));
}

StepWork step_work(const ModelConfig& config, int module, int64_t rows, int64_t head_rows, int64_t context,
                   Routing routing) {
    StepWork work;
    const auto experts = double(config.n_routed_experts), chosen = double(config.num_experts_per_tok);
    const double read = experts > 0 ? expected_experts(experts, chosen, rows, routing) / experts : 0;
    const auto add = [&](const TensorSpec& spec) -> Status {
        // Modules use the main model's embedding and head, which are listed with it.
        const bool shared = spec.embedding || spec.head;
        if (shared ? module_of(spec, config) != 0 : module_of(spec, config) != module) return {};
        const double bytes = weight_bytes(spec, config);
        const double flops = 2 * double(spec.elements());
        if (spec.embedding) {
            work.bytes += bytes / double(spec.rows) * double(rows);
        } else if (spec.head) {  // a tied one, too: it is read as a matrix
            work.bytes += bytes;
            work.flops += flops * double(head_rows);
        } else if (spec.name.find(".mlp.experts.") != std::string::npos) {
            work.bytes += bytes * read;
            work.flops += flops * double(rows) * chosen / experts;
        } else {
            work.bytes += bytes;
            if (spec.cols > 0) work.flops += flops * double(rows);
        }
        return {};
    };
    const Status listed = for_each_tensor(config, add);
    CHECK(listed, "listing tensors failed: {}", listed.error().text);
    const auto layers = double(module == 0 ? config.num_hidden_layers : 1);
    work.bytes += layers * 2 * double(config.kv_cache_width() * context);
    work.flops += layers * 2 * double(rows * config.num_attention_heads * context) *
                  double(2 * config.kv_lora_rank + config.qk_rope_head_dim);
    return work;
}

double tokens_per_step(int64_t drafts, double acceptance) {
    double tokens = 0, reached = 1;
    for (int64_t i = 0; i <= drafts; ++i, reached *= acceptance) tokens += reached;
    return tokens;
}

double drafting_gain(const ModelConfig& config, int64_t drafts, double acceptance, int64_t context, Routing routing) {
    const double plain = step_work(config, 0, 1, 1, context, routing).bytes;
    double step = step_work(config, 0, drafts + 1, drafts + 1, context, routing).bytes;
    const int64_t modules = std::max<int64_t>(1, config.num_nextn_predict_layers);
    for (int64_t i = 1; i <= drafts; ++i)
        step += step_work(config, int(std::min(i, modules)), 1, 1, context, routing).bytes;
    return tokens_per_step(drafts, acceptance) * plain / step;
}

}  // namespace vks::bench
