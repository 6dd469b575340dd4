// mla_attention/1: softmax attention in the latent space (V2 report, section 2.1.2). For token t, head h, over the
// cache rows j of span[t]:  s_j = scale * (q_lat[t,h] . c_j + q_pe[t,h] . k_j),  o[t,h] = sum_j softmax(s)_j c_j.
// The softmax is taken 64 rows at a time, counted from the span's first row, with a running maximum: the same token
// over the same rows gives the same bits in any chunk. Of a span that leaves the cache only the inside counts; none
// gives 0.
#include "plugins/args/ops/mla_attention.h"
#include "plugins/cpu/dot.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/sizes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vks::cpu {
namespace {

using namespace args::mla_attention;

constexpr int64_t kTile = 64;

// Per worker: the unnormalised output, f32 [lora].
uint64_t scratch(const Signature& s) {
    return static_cast<uint64_t>(s.threads) * s.get<vks_mla_attention_params>().lora * sizeof(float);
}

template <class Q, class P, class C, class O>
void head(const Call& call, int64_t t, int64_t h, float* o) {
    const auto& p = call.get<vks_mla_attention_params>();
    const Arg& cache = call.args[kCache];
    const Q* q_lat = row<Q>(call.args[kQLat], t) + h * p.lora;
    const P* q_pe = row<P>(call.args[kQPe], t) + h * p.rope;
    const auto [first, last] = span_of(call.args[kSpan], t, cache.rows());

    float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
    std::fill_n(o, p.lora, 0.0f);
    for (int64_t tile = first; tile < last; tile += kTile) {
        const int64_t count = std::min(kTile, last - tile);
        float s[kTile], previous = maximum;
        for (int64_t j = 0; j < count; ++j) {
            const C* entry = row<C>(cache, tile + j);
            s[j] = p.scale * (dot(q_lat, entry, p.lora) + dot(q_pe, entry + p.lora, p.rope));
            maximum = std::max(maximum, s[j]);
        }
        const float shrink = std::exp(previous - maximum);
        sum *= shrink;
        for (int64_t c = 0; c < p.lora; ++c) o[c] *= shrink;
        for (int64_t j = 0; j < count; ++j) {
            const C* entry = row<C>(cache, tile + j);
            const float weight = std::exp(s[j] - maximum);
            sum += weight;
            for (int64_t c = 0; c < p.lora; ++c) o[c] += weight * to_float(entry[c]);
        }
    }
    O* out = out_row<O>(call.args[kO], t) + h * p.lora;
    for (int64_t c = 0; c < p.lora; ++c) store(out + c, first < last ? o[c] / sum : 0.0f);
}

void run(const Call& call) {
    const auto& p = call.get<vks_mla_attention_params>();
    const int64_t heads = p.heads, rows = call.args[kQLat].rows();
    with_activation(call.args[kQLat].dtype, [&](auto q) {
        with_activation(call.args[kQPe].dtype, [&](auto pe) {
            with_activation(call.args[kCache].dtype, [&](auto c) {
                with_activation(call.args[kO].dtype, [&](auto o) {
                    call.pool->parallel_for(rows * heads, 1, [&](int64_t i, int64_t last, int worker) {
                        float* space = reinterpret_cast<float*>(call.scratch) + int64_t{worker} * p.lora;
                        for (; i < last; ++i) {
                            head<decltype(q), decltype(pe), decltype(c), decltype(o)>(call, i / heads, i % heads,
                                                                                      space);
                        }
                    });
                });
            });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, scratch, run};
constexpr const Variant* kVariants[] = {&avx512bf16_mla_attention, &simd_mla_attention, &plain};

}  // namespace

extern constinit const Op op_mla_attention = {
    "mla_attention/1", sizeof(vks_mla_attention_params), check, kOutputs, kVariants, nullptr, false, true};

}  // namespace vks::cpu
