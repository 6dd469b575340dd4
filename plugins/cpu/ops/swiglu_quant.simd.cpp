// swiglu_quant/1 by Highway. Bound: memory bandwidth, or some 30 instructions a vector where that is
// more.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/swiglu_quant.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <algorithm>

#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/quant-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

enum { kGate, kUp, kY, kScale };

// silu(gate) * up
template <class G, class U, class Y>
void swiglu(const G* gate, const U* up, size_t n, Y* y) {
    const V one = hn::Set(D(), 1.0f);
    for_vectors(n, [&](auto v) HWY_ATTR {
        const V g = v(gate);
        v.put(hn::Mul(hn::Div(g, hn::Add(one, exp(hn::Neg(g)))), v(up)), y);
    });
}

template <class G, class U>
void swiglu_row(const Call& call, int64_t t) {
    const Arg &gate = call.args[kGate], &up = call.args[kUp], &y = call.args[kY];
    const G* g = row<G>(gate, t);
    const U* u = row<U>(up, t);
    const int64_t n = gate.dim[1];
    if (y.dtype == VKS_F32) return swiglu(g, u, static_cast<size_t>(n), out_row<float>(y, t));
    if (y.dtype == VKS_BF16) return swiglu(g, u, static_cast<size_t>(n), out_row<Bf16>(y, t));
    for (int64_t first = 0; first < n; first += kBlock) {
        const auto count = static_cast<size_t>(std::min(kBlock, n - first));
        float h[kBlock];
        swiglu(g + first, u + first, count, h);
        out_row<float>(call.args[kScale], t)[first / kBlock] = quantise(h, count, false, out_row<F8>(y, t) + first);
    }
}

void run(const Call& call) {
    const Arg& gate = call.args[kGate];
    with_activation(gate.dtype, [&](auto gate_type) {
        with_activation(call.args[kUp].dtype, [&](auto up_type) {
            for_rows(call, gate.rows(), gate.dim[1],
                     [&](int64_t t, int) { swiglu_row<decltype(gate_type), decltype(up_type)>(call, t); });
        });
    });
}

#else
void run(const Call&) {}
#endif  // VKS_SIMD
}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
VKS_SIMD_VARIANT(simd_swiglu_quant);
#endif
