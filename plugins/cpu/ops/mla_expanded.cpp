// mla_expanded/1: attention with each head's keys and values formed from the cached latents (V2 report, section 2.1.2,
// before absorption). For token t, head h, over the cache rows j of span[t], with c_j the latent and k_j the rope part:
//   s_j = scale * (q[t,h] . (W_k c_j) + q_pe[t,h] . k_j),  o[t,h] = sum_j softmax(s)_j W_v c_j.
// Here a head's keys and values are formed for 64 rows at a time and met by all tokens, with a running maximum. Of a
// span that leaves the cache only the inside counts; none gives 0.
#include "plugins/args/ops/mla_expanded.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "plugins/cpu/dot.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/sizes.h"

namespace vks::cpu {
namespace {

using namespace args::mla_expanded;

constexpr int64_t kTile = 64;

// Per worker: a tile's keys and values, of every token the maximum, the sum and the unnormalised output.
int64_t worker_floats(const vks_mla_expanded_params& p, int64_t tokens) {
    return kTile * (int64_t{p.nope} + p.v) + tokens * (2 + int64_t{p.v});
}
uint64_t scratch(const Signature& s) {
    const int64_t floats = worker_floats(s.get<vks_mla_expanded_params>(), s.args[kQ].rows());
    return static_cast<uint64_t>(s.threads * floats) * sizeof(float);
}

Span span(const Call& call, int64_t t) {
    return span_of(call.args[kSpan], t, call.args[kCache].rows());
}

// to[i] = w[first + i] . c, i < count
template <class C, class W>
void expand(const Call& call, int64_t first, int64_t count, const C* c, float* to) {
    const Arg &w = call.args[kW], &scale = call.args[kWScale];
    for (int64_t i = 0; i < count; ++i) {
        const int64_t n = first + i;
        const float* scales = scale ? scale.as<float>() + n / kBlock * blocks(w.dim[1]) : nullptr;
        to[i] = scaled_dot(c, static_cast<const float*>(nullptr), row<W>(w, n), scales, w.dim[1]);
    }
}

template <class A, class W, class O>
void head(const Call& call, int64_t h, float* space) {
    const auto& p = call.get<vks_mla_expanded_params>();
    const int64_t tokens = call.args[kQ].rows(), nope = p.nope, rope = p.rope, v = p.v;
    float *key = space, *value = key + kTile * nope, *maximum = value + kTile * v, *sum = maximum + tokens;
    float* out = sum + tokens;
    std::fill_n(maximum, tokens, -std::numeric_limits<float>::infinity());
    std::fill_n(sum, tokens * (1 + v), 0.0f);
    Span all = {call.args[kCache].rows(), 0};
    for (int64_t t = 0; t < tokens; ++t) {
        const Span s = span(call, t);
        if (!s.empty()) all = {std::min(all.first, s.first), std::max(all.last, s.last)};
    }
    for (int64_t tile = all.first; tile < all.last; tile += kTile) {
        const int64_t end = std::min(all.last, tile + kTile);
        for (int64_t j = tile; j < end; ++j) {
            const A* c = row<A>(call.args[kCache], j);
            expand<A, W>(call, h * (nope + v), nope, c, key + (j - tile) * nope);
            expand<A, W>(call, h * (nope + v) + nope, v, c, value + (j - tile) * v);
        }
        for (int64_t t = 0; t < tokens; ++t) {
            const Span s = span(call, t);
            const A* q = row<A>(call.args[kQ], t) + h * (nope + rope);
            const A* q_pe = row<A>(call.args[kQPe], t) + h * rope;
            float* o = out + t * v;
            for (int64_t j = std::max(tile, s.first); j < std::min(end, s.last); ++j) {
                const A* k_pe = row<A>(call.args[kCache], j) + p.lora;
                const float score = p.scale * (dot(q, key + (j - tile) * nope, nope) + dot(q_pe, k_pe, rope));
                // Not std::max: a score that is not a number is to leave none.
                const float now = score <= maximum[t] ? maximum[t] : score;
                const float shrink = std::exp(maximum[t] - now), weight = std::exp(score - now);
                maximum[t] = now;
                sum[t] = sum[t] * shrink + weight;
                for (int64_t i = 0; i < v; ++i) o[i] = o[i] * shrink + weight * value[(j - tile) * v + i];
            }
        }
    }
    for (int64_t t = 0; t < tokens; ++t) {
        const Span s = span(call, t);
        O* o = out_row<O>(call.args[kO], t) + h * v;
        for (int64_t i = 0; i < v; ++i) store(o + i, !s.empty() ? out[t * v + i] / sum[t] : 0.0f);
    }
}

template <class A, class W, class O>
void run_as(const Call& call) {
    const auto& p = call.get<vks_mla_expanded_params>();
    const int64_t floats = worker_floats(p, call.args[kQ].rows());
    call.pool->parallel_for(p.heads, 1, [&](int64_t h, int64_t last, int worker) {
        for (; h < last; ++h) head<A, W, O>(call, h, reinterpret_cast<float*>(call.scratch) + worker * floats);
    });
}

void run(const Call& call) {
    with_activation(call.args[kQ].dtype, [&](auto a) {
        with_any(call.args[kW].dtype, [&](auto w) {
            with_activation(call.args[kO].dtype, [&](auto o) { run_as<decltype(a), decltype(w), decltype(o)>(call); });
        });
    });
}

constinit const Variant plain = {"plain", nullptr, nullptr, scratch, run};
constexpr const Variant* kVariants[] = {&avx512bf16_mla_expanded, &simd_mla_expanded, &plain};

}  // namespace

extern constinit const Op op_mla_expanded = {"mla_expanded/1", sizeof(vks_mla_expanded_params), check, kOutputs,
                                             kVariants};

}  // namespace vks::cpu
