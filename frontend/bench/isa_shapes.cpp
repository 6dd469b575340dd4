#include "frontend/bench/isa_shapes.h"

#include <cstring>

#include "backend/abi/ops.h"
#include "frontend/bench/op_maker.h"

namespace vks::bench {
namespace {

using Arg = vks_tensor;

// config.json of the release.
constexpr int64_t kHidden = 7168, kVocabulary = 129280, kHeads = 128, kNope = 128, kRope = 64, kV = 128, kLora = 512;
constexpr int64_t kQLora = 1536, kDense = 18432, kExpert = 2048, kExperts = 256, kTopK = 8;
constexpr int64_t kContext = 16384;  // cache rows

class Questions {
public:
    std::vector<IsaQuestion> all;

    // One step of `tokens` with activations of type `act`.
    void step(uint32_t act, int64_t tokens) {
        act_ = act;
        t_ = tokens;
        rows();
        matrices();
        attention();
        experts();
    }

private:
    template <class... D>
    static Arg tensor(uint32_t dtype, D... dims) {
        return abi::tensor(dtype, {int64_t(dims)...});
    }
    template <class... D>
    Arg act(D... dims) const {
        return tensor(act_, dims...);
    }
    static Arg scale(int64_t n, int64_t k) { return tensor(VKS_F32, blocks(n), blocks(k)); }

    void ask(const char* op, const std::string& what, std::vector<Arg> arguments) {
        all.push_back(
            {op, (act_ == VKS_F32 ? "f32 T=" : "bf16 T=") + std::to_string(t_) + what, {}, std::move(arguments)});
    }
    template <class P>
    void ask(const char* op, const std::string& what, const P& params, std::vector<Arg> arguments) {
        ask(op, what, std::move(arguments));
        all.back().params.resize(sizeof params);
        std::memcpy(all.back().params.data(), &params, sizeof params);
    }

    void rows() {
        const Arg ids = tensor(VKS_I32, t_), norm = tensor(VKS_BF16, kHidden);
        ask("embed/1", "", {ids, tensor(VKS_BF16, kVocabulary, kHidden), act(t_, kHidden)});
        for (int64_t width : {kHidden, kQLora})
            ask("rms_norm/1", " " + std::to_string(width), vks_norm_params{1e-6f},
                {act(t_, width), tensor(VKS_BF16, width), act(t_, width)});
        ask("add_rms_norm/1", "", vks_norm_params{1e-6f},
            {tensor(VKS_F32, t_, kHidden), act(t_, kHidden), norm, tensor(VKS_F32, t_, kHidden), act(t_, kHidden)});
        ask("act_quant/1", "", vks_act_quant_params{0},
            {act(t_, kHidden), tensor(VKS_F8_E4M3, t_, kHidden), tensor(VKS_F32, t_, blocks(kHidden))});
        ask("add/1", "", {act(t_, kHidden), act(t_, kHidden), tensor(VKS_F32, t_, kHidden)});
        ask("swiglu_quant/1", " plain", {act(t_, kDense), act(t_, kDense), act(t_, kDense), Arg{}});
        ask("swiglu_quant/1", " fp8",
            {act(t_, kDense), act(t_, kDense), tensor(VKS_F8_E4M3, t_, kDense), tensor(VKS_F32, t_, blocks(kDense))});
        ask("mtp_merge/1", "", vks_norm_params{1e-6f},
            {act(t_, kHidden), act(t_, kHidden), norm, norm, act(t_, 2 * kHidden)});
        ask("topk/1", "", vks_topk_params{50},
            {tensor(VKS_F32, t_, kVocabulary), tensor(VKS_F32, t_, int64_t{50}), tensor(VKS_I32, t_, int64_t{50})});
    }

    void matrices() {
        const int64_t shapes[][2] = {{kQLora, kHidden},        {kHeads * (kNope + kRope), kQLora},
                                     {kLora + kRope, kHidden}, {kHidden, kHeads * kV},
                                     {kDense, kHidden},        {kHidden, kDense}};
        for (const auto& [n, k] : shapes) {
            const std::string what = " " + std::to_string(n) + "x" + std::to_string(k);
            const Arg w = tensor(VKS_F8_E4M3, n, k);
            ask("fp8_gemm/1", what, {act(t_, k), Arg{}, w, scale(n, k), act(t_, n)});
            ask("fp8_gemm/1", what + " w8a8",
                {tensor(VKS_F8_E4M3, t_, k), tensor(VKS_F32, t_, blocks(k)), w, scale(n, k), act(t_, n)});
        }
        ask("gemm/1", " lm_head",
            {act(t_, kHidden), tensor(VKS_BF16, kVocabulary, kHidden), tensor(VKS_F32, t_, kVocabulary)});
        ask("gemm/1", " router",
            {act(t_, kHidden), tensor(VKS_BF16, kExperts, kHidden), tensor(VKS_F32, t_, kExperts)});
    }

    void attention() {
        const Arg q = act(t_, kHeads * (kNope + kRope)), q_pe = act(t_, kHeads * kRope),
                  latents = act(t_, kHeads * kLora);
        const Arg w = tensor(VKS_F8_E4M3, kHeads * (kNope + kV), kLora), w_scale = scale(kHeads * (kNope + kV), kLora);
        const Arg cache = act(kContext, kLora + kRope);
        vks_head_gemm_params p{VKS_HEAD_ABSORB, kHeads, kNope, kRope, kV, kLora};
        ask("head_gemm/1", " absorb", p, {q, w, w_scale, latents});
        p.mode = VKS_HEAD_EXPAND;
        ask("head_gemm/1", " expand", p, {latents, w, w_scale, act(t_, kHeads * kV)});
        ask("mla_rope_append/1", "", vks_mla_rope_append_params{kHeads, kNope, kRope, kLora, 1e-6f},
            {q, act(t_, kLora + kRope), tensor(VKS_BF16, kLora), tensor(VKS_F32, t_, kRope), tensor(VKS_I32, t_), cache,
             q_pe});
        ask("mla_attention/1", "", vks_mla_attention_params{kHeads, kLora, kRope, 0.1f},
            {latents, q_pe, cache, tensor(VKS_I32, t_, int64_t{2}), latents});
    }

    void experts() {
        const Arg chosen = tensor(VKS_I32, t_, kTopK), weight = tensor(VKS_F32, t_, kTopK);
        const Arg offset = tensor(VKS_I32, kExperts + 1), row = tensor(VKS_I32, t_ * kTopK);
        ask("moe_route/1", "", vks_moe_route_params{8, 4, kTopK, 1, 2.5f},
            {tensor(VKS_F32, t_, kExperts), tensor(VKS_F32, kExperts), chosen, weight});
        ask("moe_dispatch/1", "", vks_moe_dispatch_params{0, kExperts}, {chosen, offset, row, chosen});
        grouped(" up", t_, row, kExpert, kHidden);
        grouped(" down", t_ * kTopK, Arg{}, kHidden, kExpert);
        ask("moe_combine/1", "", {act(t_ * kTopK, kHidden), chosen, weight, act(t_, kHidden), act(t_, kHidden)});
    }

    void grouped(const std::string& what, int64_t tokens, const Arg& row, int64_t n, int64_t k) {
        for (const bool quantised : {false, true}) {
            std::vector<Arg> arguments = {quantised ? tensor(VKS_F8_E4M3, tokens, k) : act(tokens, k),
                                          quantised ? tensor(VKS_F32, tokens, blocks(k)) : Arg{},
                                          tensor(VKS_I32, kExperts + 1), row};
            for (int64_t e = 0; e < kExperts; ++e)
                arguments.insert(arguments.end(), {tensor(VKS_F8_E4M3, n, k), scale(n, k)});
            arguments.push_back(act(t_ * kTopK, n));
            ask("grouped_gemm/1", what + (quantised ? " w8a8" : ""), vks_grouped_gemm_params{kExperts},
                std::move(arguments));
        }
    }

    uint32_t act_ = VKS_F32;
    int64_t t_ = 1;
};

}  // namespace

std::vector<IsaQuestion> deepseek_v3_questions() {
    Questions questions;
    for (const uint32_t act : {uint32_t{VKS_BF16}, uint32_t{VKS_F32}})
        for (const int64_t tokens : {1, 4, 512}) questions.step(act, tokens);
    return std::move(questions.all);
}

}  // namespace vks::bench
