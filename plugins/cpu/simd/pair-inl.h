// Rows of weights or activations in any dtype, two vectors of f32 at a time; included once per Highway target.
#if defined(VKS_SIMD_PAIR_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef VKS_SIMD_PAIR_INL_H
#undef VKS_SIMD_PAIR_INL_H
#else
#define VKS_SIMD_PAIR_INL_H
#endif

#include <type_traits>

#include "plugins/cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
#if VKS_SIMD

inline constexpr int64_t kScaleBlock = 128;
inline constexpr int64_t kStep = 2 * static_cast<int64_t>(kLanes);  // elements decoded at once

// Two vectors: the e4m3 values of 2 * kLanes codes, divided by 256 (a power of two that the caller's scale undoes).
// Code bits seeemmm, shifted into place, are the f16 of value / 256, subnormals included. NaN, all ones, would be 480:
// adding one unit carries into the bit that makes the exponent f16's own NaN.
struct Pair {
    V low, high;

    // Written out, so that they are compiled for the target too.
    HWY_INLINE Pair() {}
    HWY_INLINE Pair(V l, V h) : low(l), high(h) {}
};
HWY_INLINE Pair load_f8_pair(const F8* p) {
    const hn::Repartition<int16_t, D> d16;
    const hn::Rebind<int8_t, decltype(d16)> d8;
    const auto codes = hn::LoadU(d8, reinterpret_cast<const int8_t*>(p));
    const auto shifted = hn::ShiftLeft<7>(hn::PromoteTo(d16, codes));  // sign in bits 15 and 14
    const auto value = hn::And(shifted, hn::Set(d16, static_cast<int16_t>(0xbfff - 0x10000)));
    const auto half = hn::OrAnd(value, hn::Add(value, hn::Set(d16, int16_t{0x80})), hn::Set(d16, int16_t{0x4000}));
    const hn::Half<decltype(d16)> part;
    const hn::Rebind<hwy::float16_t, D> f16;
    return {hn::PromoteTo(D(), hn::BitCast(f16, hn::LowerHalf(part, half))),
            hn::PromoteTo(D(), hn::BitCast(f16, hn::UpperHalf(part, half)))};
}

// kStep elements, e4m3 ones times scale (times 256, see load_f8_pair).
template <class T>
HWY_INLINE Pair load_pair(const T* p, V scale) {
    if constexpr (std::is_same_v<T, F8>) {
        const Pair v = load_f8_pair(p);
        return {hn::Mul(v.low, scale), hn::Mul(v.high, scale)};
    } else {
        return {load(p), load(p + kLanes)};
    }
}

// The same for the last n < kStep elements of a row, which may end the mapped file.
template <class T>
HWY_INLINE Pair load_pair_part(const T* p, int64_t n, V scale) {
    T padded[kStep] = {};
    std::memcpy(padded, p, static_cast<size_t>(n) * sizeof(T));
    return load_pair(padded, scale);
}

HWY_INLINE V block_scale(const float* scale, int64_t k) {
    return hn::Set(D(), scale ? scale[k / kScaleBlock] * 256.0f : 256.0f);
}

#endif  // VKS_SIMD
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
