// mla_rope_append/1 by Highway. Bound: memory bandwidth.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/mla_rope_append.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

enum { kQ, kKv, kW, kTable, kSlot, kCache, kQPe };

// Adjacent pairs (a, b) to (a cos - b sin, b cos + a sin). table: cos, sin of each pair.
template <class X, class Y>
void rotate(const X* x, const float* table, size_t n, Y* y) {
    const V sign = hn::OddEven(hn::Set(D(), 1.0f), hn::Set(D(), -1.0f));
    for_vectors(n, [&](auto v) HWY_ATTR {
        const V pairs = v(x), angles = v(table);
        const V sine = hn::Mul(hn::DupOdd(angles), sign);
        v.put(hn::MulAdd(pairs, hn::DupEven(angles), hn::Mul(hn::Reverse2(D(), pairs), sine)), y);
    });
}

void queries(const Call& call) {
    const auto& p = call.get<vks_mla_rope_append_params>();
    const Arg &q = call.args[kQ], &q_pe = call.args[kQPe];
    with_activation(q.dtype, [&](auto x) {
        with_activation(q_pe.dtype, [&](auto y) {
            for_rows(call, q.rows(), q_pe.dim[1], [&](int64_t t, int) {
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
                for_rows(call, kv.rows(), kv.dim[1], [&](int64_t t, int) {
                    const int64_t slot = call.args[kSlot].as<int32_t>()[t];
                    if (slot < 0 || slot >= cache.rows()) return;
                    const auto* in = row<decltype(x)>(kv, t);
                    auto* entry = out_row<decltype(y)>(cache, slot);
                    rms_norm_row(in, w.as<decltype(w_type)>(), p.lora, p.eps, entry);
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

#else
void run(const Call&) {}
#endif  // VKS_SIMD
}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
VKS_SIMD_VARIANT(simd_mla_rope_append);
#endif
