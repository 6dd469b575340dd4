// RMSNorm of a row; included once per Highway target.
#if defined(VKS_SIMD_NORM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef VKS_SIMD_NORM_INL_H
#undef VKS_SIMD_NORM_INL_H
#else
#define VKS_SIMD_NORM_INL_H
#endif

#include <cmath>

#include "plugins/cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
#if VKS_SIMD

// 1 / sqrt(mean(x^2) + eps) over n elements. Four sums side by side, in an order that depends on n alone.
template <class X>
HWY_INLINE float inverse_rms(const X* x, size_t n, float eps) {
    V sums[4] = {hn::Zero(D()), hn::Zero(D()), hn::Zero(D()), hn::Zero(D())};
    size_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
        VKS_UNROLL
        for (size_t j = 0; j < 4; ++j) {
            const V v = load(x + i + j * kLanes);
            sums[j] = hn::MulAdd(v, v, sums[j]);
        }
    }
    for (; i < n; i += kLanes) {
        const V v = i + kLanes <= n ? load(x + i) : load_part(x + i, n - i);
        sums[0] = hn::MulAdd(v, v, sums[0]);
    }
    const float total = sum(hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3])));
    return 1.0f / std::sqrt(total / static_cast<float>(n) + eps);
}

// y = x * inverse * w
template <class X, class W, class Y>
HWY_INLINE void normalise(const X* x, float inverse, const W* w, size_t n, Y* y) {
    const V factor = hn::Set(D(), inverse);
    for_vectors(n, [&](auto v) HWY_ATTR { v.put(hn::Mul(hn::Mul(v(x), factor), v(w)), y); });
}

template <class X, class W, class Y>
void rms_norm_row(const X* x, const W* w, size_t n, float eps, Y* y) {
    normalise(x, inverse_rms(x, n, eps), w, n, y);
}

#endif  // VKS_SIMD
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
