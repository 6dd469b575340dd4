#include "frontend/model/deepseek_v3.h"

#include "backend/abi/plugin.hpp"
#include "frontend/model/layout.h"

namespace vks {
namespace {

constexpr Symbol T = Symbol::kTokens, R = Symbol::kRows;
Dim fixed(int64_t n) {
    return {n, Symbol::kNone};
}

// Builds one graph; a missing or misshapen tensor sticks and is reported by finish().
class Builder {
public:
    Builder(std::string name, const Checkpoint& checkpoint, const ModelOptions& options)
        : checkpoint_(checkpoint),
          config_(checkpoint.config()),
          options_(options),
          act_(options.half ? VKS_BF16 : VKS_F32),
          eps_(float(config_.rms_norm_eps)),
          g_(std::move(name), {options.max_tokens, options.max_rows}) {}

    void make_inputs(bool mtp) {
        in_.ids = g_.input("ids", VKS_I32, {{1, T}});
        if (mtp) in_.hidden = g_.input("hidden", act_, {{1, T}, fixed(config_.hidden_size)});
        in_.rope = g_.input("rope", VKS_F32, {{1, T}, fixed(config_.qk_rope_head_dim)});
        in_.slot = g_.input("slot", VKS_I32, {{1, T}});
        in_.span = g_.input("span", VKS_I32, {{1, T}, fixed(2)});
        in_.rows = g_.input("rows", VKS_I32, {{1, R}});
    }

    void main();
    void mtp(int k);

    Result<ModelGraph> finish(std::shared_ptr<const Checkpoint> keep) {
        if (!problem_.text.empty()) return problem_;
        VKS_ASSIGN(Graph graph, g_.finish(std::move(keep)));
        return ModelGraph{std::make_shared<const Graph>(std::move(graph)), in_};
    }

private:
    // The residual stream and its normalised image, the input of the next sub-layer.
    struct Stream {
        ValueId x = kAbsent, h = kAbsent;
    };

    MatrixValue matrix(const std::string& name, int64_t rows, int64_t cols, bool fp8 = true);
    MatrixValue head();
    ValueId vector(const Result<Vector>& found);
    ValueId vector(const std::string& name, int64_t size);
    ValueId f32_vector(const std::string& name, int64_t size);
    ValueId weight(const TensorView& view);
    void fail(const Error& error) {
        if (problem_.text.empty()) problem_ = error;
    }

    // What several matrices multiply, each as its own type wants it. Quantised once, for the first that wants that.
    struct Input {
        std::string quant;  // the name of the node that does it
        ValueId x = kAbsent;
        ActValue quantised;
    };

    // x as an FP8 or plain matrix wants it.
    ActValue quantised(const std::string& name, ValueId x, bool fp8);
    ActValue input_for(const std::string& matrix, Input& in);
    ValueId linear(const std::string& name, ActValue x, int64_t n, int64_t k, uint32_t dtype) {
        return g_.matmul(name, x, matrix("model." + name + ".weight", n, k), dtype);
    }
    bool fp8(const std::string& name) const;
    ActValue swiglu(const std::string& name, ValueId gate, ValueId up, bool fp8);

    ValueId attention(int64_t layer, ValueId h);
    ValueId feed_forward(const std::string& name, Input& in, int64_t inner);
    ValueId mixture(int64_t layer, ValueId h);
    Stream block(int64_t layer, Stream s);
    void logits(ValueId h);

    const Checkpoint& checkpoint_;
    const ModelConfig& config_;
    const ModelOptions& options_;
    const uint32_t act_;
    const float eps_;
    GraphBuilder g_;
    StepInputs in_;
    Error problem_;
};

std::string prefix(int64_t layer) {
    return fmt::format("layers.{}.", layer);
}

ValueId Builder::weight(const TensorView& view) {
    Dims dims;
    for (size_t i = 0; i < view.shape.rank; ++i) dims.push_back(fixed(view.shape[i]));
    return g_.weight(std::string(view.name), uint32_t(view.dtype), std::move(dims), view.data);
}

MatrixValue Builder::matrix(const std::string& name, int64_t rows, int64_t cols, bool fp8) {
    auto found = checkpoint_.matrix(name, rows, cols, fp8);
    if (!found) {
        fail(found.error());
        return {};
    }
    return {weight(found->weight), found->scale ? weight(*found->scale) : kAbsent};
}

MatrixValue Builder::head() {
    auto found = checkpoint_.head();
    if (!found) {
        fail(found.error());
        return {};
    }
    return {weight(found->weight), found->scale ? weight(*found->scale) : kAbsent};
}

ValueId Builder::vector(const Result<Vector>& found) {
    if (!found) {
        fail(found.error());
        return kAbsent;
    }
    return weight(found->view);
}

ValueId Builder::vector(const std::string& name, int64_t size) {
    return vector(checkpoint_.vector(name, size));
}

ValueId Builder::f32_vector(const std::string& name, int64_t size) {
    return vector(checkpoint_.f32_vector(name, size));
}

bool Builder::fp8(const std::string& name) const {
    const TensorView* view = checkpoint_.find("model." + name + ".weight");
    return view && view->dtype == DType::kF8E4M3;
}

ActValue Builder::quantised(const std::string& name, ValueId x, bool fp8) {
    if (!options_.w8a8 || !fp8) return {x, kAbsent};
    return g_.act_quant(name, x, config_.ue8m0_scales);
}

ActValue Builder::input_for(const std::string& matrix, Input& in) {
    if (!options_.w8a8 || !fp8(matrix)) return {in.x, kAbsent};
    if (in.quantised.x == kAbsent) in.quantised = quantised(in.quant, in.x, true);
    return in.quantised;
}

ActValue Builder::swiglu(const std::string& name, ValueId gate, ValueId up, bool fp8) {
    const bool quantise = options_.w8a8 && fp8;
    // The fused operator quantises with plain scales only.
    if (quantise && !config_.ue8m0_scales) return g_.swiglu(name, gate, up, VKS_F8_E4M3);
    return quantised(name, g_.swiglu(name, gate, up, act_).x, fp8);
}

// V3 report, section 2.1.1. In the absorbed form attention works on the cached latents themselves.
ValueId Builder::attention(int64_t layer, ValueId h) {
    const std::string p = prefix(layer) + "self_attn.";
    const int64_t hidden = config_.hidden_size, heads = config_.num_attention_heads;
    const int64_t nope = config_.qk_nope_head_dim, rope = config_.qk_rope_head_dim, v = config_.v_head_dim;
    const int64_t lora = config_.kv_lora_rank, q_lora = config_.q_lora_rank;

    Input in = {p + "input_quant", h, {}};
    ValueId q = kAbsent;
    if (q_lora > 0) {
        const ValueId down = linear(p + "q_a_proj", input_for(p + "q_a_proj", in), q_lora, hidden, act_);
        const ValueId norm = vector("model." + p + "q_a_layernorm.weight", q_lora);
        const ValueId normed = g_.rms_norm(p + "q_a_layernorm", down, norm, eps_, act_);
        const ActValue up_in = quantised(p + "q_quant", normed, fp8(p + "q_b_proj"));
        q = linear(p + "q_b_proj", up_in, heads * (nope + rope), q_lora, act_);
    } else {
        q = linear(p + "q_proj", input_for(p + "q_proj", in), heads * (nope + rope), hidden, act_);
    }
    const std::string kv_a = p + "kv_a_proj_with_mqa";
    const ValueId kv = linear(kv_a, input_for(kv_a, in), lora + rope, hidden, act_);

    const ValueId cache = g_.state(fmt::format("kv.{}", layer), act_, {fixed(options_.context), fixed(lora + rope)});
    const ValueId kv_norm = vector("model." + p + "kv_a_layernorm.weight", lora);
    const vks_mla_rope_append_params append = {uint32_t(heads), uint32_t(nope), uint32_t(rope), uint32_t(lora), eps_};
    const ValueId q_pe = g_.mla_rope_append(p + "rope_append", append, q, kv, kv_norm, in_.rope, in_.slot, cache, act_);

    const MatrixValue kv_b = matrix("model." + p + "kv_b_proj.weight", heads * (nope + v), lora);
    const auto output = [&](ValueId o) {
        return linear(p + "o_proj", quantised(p + "output_quant", o, fp8(p + "o_proj")), hidden, heads * v, act_);
    };
    if (options_.expanded) {
        const vks_mla_expanded_params expanded = {uint32_t(heads), uint32_t(nope), uint32_t(rope),
                                                  uint32_t(v),     uint32_t(lora), float(config_.softmax_scale())};
        return output(g_.mla_expanded(p + "attention", expanded, q, q_pe, cache, kv_b, in_.span, act_));
    }
    vks_head_gemm_params head = {VKS_HEAD_ABSORB, uint32_t(heads), uint32_t(nope),
                                 uint32_t(rope),  uint32_t(v),     uint32_t(lora)};
    const ValueId q_lat = g_.head_gemm(p + "absorb", head, q, kv_b, act_);
    const vks_mla_attention_params attend = {uint32_t(heads), uint32_t(lora), uint32_t(rope),
                                             float(config_.softmax_scale())};
    const ValueId o_lat = g_.mla_attention(p + "attention", attend, q_lat, q_pe, cache, in_.span, act_);
    head.mode = VKS_HEAD_EXPAND;
    return output(g_.head_gemm(p + "expand", head, o_lat, kv_b, act_));
}

ValueId Builder::feed_forward(const std::string& name, Input& in, int64_t inner) {
    const int64_t hidden = config_.hidden_size;
    const ValueId gate = linear(name + "gate_proj", input_for(name + "gate_proj", in), inner, hidden, act_);
    const ValueId up = linear(name + "up_proj", input_for(name + "up_proj", in), inner, hidden, act_);
    const ActValue y = swiglu(name + "swiglu", gate, up, fp8(name + "down_proj"));
    return linear(name + "down_proj", y, hidden, inner, act_);
}

// V3 report, section 2.1.2. All experts are one shard.
ValueId Builder::mixture(int64_t layer, ValueId h) {
    const std::string p = prefix(layer) + "mlp.";
    const int64_t hidden = config_.hidden_size, inner = config_.moe_intermediate_size,
                  experts = config_.n_routed_experts;

    const MatrixValue gate = matrix("model." + p + "gate.weight", experts, hidden, false);
    const ValueId scores = g_.matmul(p + "gate", {h, kAbsent}, gate, VKS_F32);
    const vks_moe_route_params rule = {uint32_t(config_.n_group), uint32_t(config_.topk_group),
                                       uint32_t(config_.num_experts_per_tok), config_.norm_topk_prob ? 1u : 0u,
                                       float(config_.routed_scaling_factor)};
    const ValueId bias = f32_vector("model." + p + "gate.e_score_correction_bias", experts);
    const auto [idx, share] = g_.moe_route(p + "route", rule, scores, bias);
    if (options_.trace) {
        g_.output(idx, fmt::format("router.{}.topk_idx", layer));
        g_.output(share, fmt::format("router.{}.topk_weight", layer));
    }
    const auto list = g_.moe_dispatch(p + "dispatch", {0, uint32_t(experts)}, idx);

    const auto stack = [&](const char* part, int64_t rows, int64_t cols) {
        std::vector<MatrixValue> all;
        for (int64_t e = 0; e < experts; ++e)
            all.push_back(matrix(fmt::format("model.{}experts.{}.{}.weight", p, e, part), rows, cols));
        return all;
    };
    Input in = {p + "input_quant", h, {}};
    const auto project = [&](const char* part) {
        const ActValue x = input_for(p + "experts.0." + part, in);
        return g_.grouped_gemm(p + "experts." + part, x, list.offset, list.row, stack(part, inner, hidden), act_);
    };
    const ValueId gates = project("gate_proj");
    const ValueId ups = project("up_proj");
    const ActValue y = swiglu(p + "experts.swiglu", gates, ups, fp8(p + "experts.0.down_proj"));
    const ValueId downs =
        g_.grouped_gemm(p + "experts.down_proj", y, list.offset, kAbsent, stack("down_proj", hidden, inner), act_);

    ValueId base = kAbsent;
    if (config_.n_shared_experts > 0) base = feed_forward(p + "shared_experts.", in, config_.n_shared_experts * inner);
    return g_.moe_combine(p + "combine", downs, list.pos, share, base, act_);
}

Builder::Stream Builder::block(int64_t layer, Stream s) {
    const std::string p = prefix(layer);
    const ValueId attended = attention(layer, s.h);
    const ValueId norm = vector("model." + p + "post_attention_layernorm.weight", config_.hidden_size);
    const auto [x, h] = g_.add_rms_norm(p + "post_attention_layernorm", s.x, attended, norm, eps_, act_);
    if (config_.is_moe(layer)) return {x, mixture(layer, h)};
    const std::string mlp = p + "mlp.";
    Input in = {mlp + "input_quant", h, {}};
    return {x, feed_forward(mlp, in, config_.intermediate_size)};
}

void Builder::logits(ValueId h) {
    if (options_.hidden_out) g_.output(h, "final_norm");
    const ValueId chosen = g_.embed("rows", in_.rows, h, act_);
    g_.output(g_.matmul("lm_head", {chosen, kAbsent}, head(), VKS_F32), "logits");
}

void Builder::main() {
    make_inputs(false);
    const int64_t hidden = config_.hidden_size, layers = config_.num_hidden_layers;
    const MatrixValue table = matrix("model.embed_tokens.weight", config_.vocab_size, hidden, false);
    Stream s;
    s.x = g_.embed("embed_tokens", in_.ids, table.w, VKS_F32);
    s.h = g_.rms_norm("layers.0.input_layernorm", s.x, vector("model.layers.0.input_layernorm.weight", hidden), eps_,
                      act_);
    for (int64_t l = 0; l < layers; ++l) {
        if (options_.trace) g_.output(s.x, fmt::format("hidden.{}", l));
        s = block(l, s);  // s.h is now the block's contribution, not yet added
        const bool last = l + 1 == layers;
        const std::string name = last ? "norm" : prefix(l + 1) + "input_layernorm";
        std::tie(s.x, s.h) = g_.add_rms_norm(name, s.x, s.h, vector("model." + name + ".weight", hidden), eps_, act_);
    }
    if (options_.trace) g_.output(s.x, fmt::format("hidden.{}", layers));
    logits(s.h);
}

void Builder::mtp(int k) {
    make_inputs(true);
    const int64_t hidden = config_.hidden_size, layer = config_.num_hidden_layers + k - 1;
    const std::string p = prefix(layer);
    const MatrixValue table = matrix("model.embed_tokens.weight", config_.vocab_size, hidden, false);
    const ValueId e = g_.embed("embed_tokens", in_.ids, table.w, act_);
    const ValueId enorm = vector("model." + p + "enorm.weight", hidden);
    const ValueId hnorm = vector("model." + p + "hnorm.weight", hidden);
    const ValueId merged = g_.mtp_merge(p + "merge", e, in_.hidden, enorm, hnorm, eps_, act_);
    Stream s;
    s.x = g_.matmul(p + "eh_proj", {merged, kAbsent},
                    matrix("model." + p + "eh_proj.weight", hidden, 2 * hidden, false), VKS_F32);
    const ValueId norm = vector("model." + p + "input_layernorm.weight", hidden);
    s = block(layer, {s.x, g_.rms_norm(p + "input_layernorm", s.x, norm, eps_, act_)});
    const ValueId out = vector("model." + p + "shared_head.norm.weight", hidden);
    logits(g_.add_rms_norm(p + "shared_head.norm", s.x, s.h, out, eps_, act_).second);
}

}  // namespace

Result<ModelGraph> build_main(std::shared_ptr<const Checkpoint> checkpoint, const ModelOptions& options) {
    Builder builder("main", *checkpoint, options);
    builder.main();
    return builder.finish(std::move(checkpoint));
}

Result<ModelGraph> build_mtp(std::shared_ptr<const Checkpoint> checkpoint, int k, const ModelOptions& options) {
    CHECK(k >= 1 && k <= checkpoint->config().num_nextn_predict_layers, "MTP module {}", k);
    Builder builder(fmt::format("mtp{}", k), *checkpoint, options);
    builder.mtp(k);
    return builder.finish(std::move(checkpoint));
}

}  // namespace vks
