// FP8 quantisation of a group of activations, bit for bit as plugins/cpu/quant.h; included once per Highway target.
#if defined(VKS_SIMD_QUANT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef VKS_SIMD_QUANT_INL_H
#undef VKS_SIMD_QUANT_INL_H
#else
#define VKS_SIMD_QUANT_INL_H
#endif

#include "plugins/cpu/op.h"
#include "plugins/cpu/quant.h"
#include "plugins/cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
#if VKS_SIMD

// The scale of x[0, n), n <= 128; codes go to q. A NaN is no maximum and stays a NaN.
template <class X>
float quantise(const X* x, size_t n, bool ue8m0, F8* q) {
    V most = hn::Set(D(), 1e-4f);
    for_vectors(n, [&](auto v) HWY_ATTR {
        const V size = hn::Abs(v(x));
        most = hn::IfThenElse(hn::Gt(size, most), size, most);
    });
    float s = maximum(most) / kF8Max;
    if (ue8m0) s = round_up_to_power_of_two(s);
    const V scale = hn::Set(D(), s);
    for_vectors(n, [&](auto v) HWY_ATTR { v.put_codes(encode_f8(hn::Div(v(x), scale)), q); });
    return s;
}

#endif  // VKS_SIMD
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
