// mla_rope_append/1: a token's cache entry and the rotated part of its queries.
//   cache[slot[t]] = [ rms_norm(kv[t, :lora]) * w ; R_t kv[t, lora:] ],   q_pe[t,h] = R_t q[t, h, nope:]
// R_t turns each adjacent pair (a, b) by the position's angle: (a cos - b sin, a sin + b cos).  (RoFormer, eq. 34)
// A slot outside the cache is not written.
#include "plugins/args/ops/mla_rope_append.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/norm.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::mla_rope_append;

// table: cos, sin of each pair.
template <class X, class Y>
void rotate(const X* x, const float* table, int64_t n, Y* y) {
    for (int64_t i = 0; i < n; i += 2) {
        const float a = to_float(x[i]), b = to_float(x[i + 1]), cosine = table[i], sine = table[i + 1];
        store(y + i, a * cosine - b * sine);
        store(y + i + 1, a * sine + b * cosine);
    }
}

void queries(const Call& call) {
    const auto& p = call.get<vks_mla_rope_append_params>();
    const Arg &q = call.args[kQ], &q_pe = call.args[kQPe];
    with_activation(q.dtype, [&](auto x) {
        with_activation(q_pe.dtype, [&](auto y) {
            for_rows(call, q.rows(), q.dim[1], [&](int64_t t, int) {
                for (int64_t h = 0; h < p.heads; ++h) {
                    rotate(row<decltype(x)>(q, t) + h * (p.nope + p.rope) + p.nope, row<float>(call.args[kTable], t),
                           p.rope, out_row<decltype(y)>(q_pe, t) + h * p.rope);
                }
            });
        });
    });
}

void entries(const Call& call) {
    const auto& p = call.get<vks_mla_rope_append_params>();
    const Arg &kv = call.args[kKv], &w = call.args[kW], &cache = call.args[kCache];
    with_activation(kv.dtype, [&](auto x) {
        with_weight(w.dtype, [&](auto w_type) {
            with_activation(cache.dtype, [&](auto y) {
                const auto* weight = w.as<decltype(w_type)>();
                for_rows(call, kv.rows(), kv.dim[1], [&](int64_t t, int) {
                    const int64_t slot = call.args[kSlot].as<int32_t>()[t];
                    if (slot < 0 || slot >= cache.rows()) return;
                    const auto* in = row<decltype(x)>(kv, t);
                    auto* entry = out_row<decltype(y)>(cache, slot);
                    const float inverse = inverse_rms(in, p.lora, p.eps);
                    for (int64_t c = 0; c < p.lora; ++c) {
                        store(entry + c, to_float(in[c]) * inverse * to_float(weight[c]));
                    }
                    rotate(in + p.lora, row<float>(call.args[kTable], t), p.rope, entry + p.lora);
                });
            });
        });
    });
}

void run(const Call& call) {
    queries(call);
    entries(call);
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&simd_mla_rope_append, &plain};

}  // namespace

extern constinit const Op op_mla_rope_append = {"mla_rope_append/1", sizeof(vks_mla_rope_append_params), check,
                                                kOutputs, kVariants};

}  // namespace vks::cpu
