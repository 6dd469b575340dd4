// Vectors of f32 and the formats they are loaded from and stored to; included once per Highway target.
// All conversions are exact or round to nearest even, whatever the CPU's flush-to-zero bits say.
#if defined(VKS_SIMD_VEC_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef VKS_SIMD_VEC_INL_H
#undef VKS_SIMD_VEC_INL_H
#else
#define VKS_SIMD_VEC_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "plugins/cpu/numeric.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
#if VKS_SIMD
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
using D32 = hn::RebindToUnsigned<D>;
using D16 = hn::Rebind<uint16_t, D>;
inline constexpr size_t kLanes = HWY_LANES(float);

// kLanes consecutive elements.
HWY_INLINE V load(const float* p) {
    return hn::LoadU(D(), p);
}
HWY_INLINE V load(const Bf16* p) {
    const auto bits = hn::LoadU(D16(), reinterpret_cast<const uint16_t*>(p));
    return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(D32(), bits)));
}
HWY_INLINE V load(const F16* p) {
    const auto bits = hn::LoadU(D16(), reinterpret_cast<const uint16_t*>(p));
    return hn::PromoteTo(D(), hn::BitCast(hn::Rebind<hwy::float16_t, D>(), bits));
}

HWY_INLINE void store(V v, float* p) {
    hn::StoreU(v, D(), p);
}
HWY_INLINE void store(V v, Bf16* p) {
    const D32 d;
    const auto bits = hn::BitCast(d, v);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1u));
    const auto rounded = hn::Add(hn::Add(bits, hn::Set(d, 0x7fffu)), odd);
    const auto nan = hn::RebindMask(d, hn::IsNaN(v));
    const auto result = hn::IfThenElse(nan, hn::Or(bits, hn::Set(d, 0x400000u)), rounded);
    hn::StoreU(hn::TruncateTo(D16(), hn::ShiftRight<16>(result)), D16(), reinterpret_cast<uint16_t*>(p));
}

// The same for n < kLanes elements; the rest are zeros and aren't touched in memory.
template <class T>
HWY_INLINE V load_part(const T* p, size_t n) {
    T padded[kLanes] = {};
    std::memcpy(padded, p, n * sizeof(T));
    return load(padded);
}
template <class T>
HWY_INLINE void store_part(V v, T* p, size_t n) {
    T padded[kLanes];
    store(v, padded);
    std::memcpy(p, padded, n * sizeof(T));
}

// e4m3 codes of x, as u32 lanes: to nearest even, saturating at 448, NaN kept.
HWY_INLINE hn::Vec<D32> encode_f8(V x) {
    const D d;
    const D32 du;
    const auto bits = hn::BitCast(du, x);
    const auto sign = hn::And(hn::ShiftRight<24>(bits), hn::Set(du, 0x80u));
    const V magnitude = hn::Abs(x);
    const auto m = hn::BitCast(du, hn::Min(magnitude, hn::Set(d, kF8Max)));
    // Below 2^-6: adding 2^14 leaves a grid of 2^-9.
    const auto small =
        hn::Sub(hn::BitCast(du, hn::Add(magnitude, hn::Set(d, 16384.0f))), hn::BitCast(du, hn::Set(d, 16384.0f)));
    const auto odd = hn::And(hn::ShiftRight<20>(m), hn::Set(du, 1u));
    const auto normal =
        hn::Sub(hn::ShiftRight<20>(hn::Add(hn::Add(m, hn::Set(du, 0x7ffffu)), odd)), hn::Set(du, 120u << 3));
    const auto is_small = hn::RebindMask(du, hn::Lt(magnitude, hn::Set(d, 0x1p-6f)));
    const auto code = hn::IfThenElse(is_small, small, normal);
    const auto nan = hn::RebindMask(du, hn::IsNaN(x));
    return hn::Or(sign, hn::IfThenElse(nan, hn::Set(du, 0x7fu), code));
}

// Stores u32 lanes as bytes.
HWY_INLINE void store_codes(hn::Vec<D32> v, F8* p) {
    const hn::Rebind<uint8_t, D32> d8;
    hn::StoreU(hn::TruncateTo(d8, v), d8, reinterpret_cast<uint8_t*>(p));
}

// Calls f(v) for every vector of n elements: v(row) loads those elements of a row, v.put(x, row) stores them. A ragged
// tail goes through padded copies, its arithmetic is the same.
struct Whole {
    size_t first;
    template <class T>
    HWY_INLINE V operator()(const T* row) const {
        return load(row + first);
    }
    template <class T>
    HWY_INLINE void put(V v, T* row) const {
        store(v, row + first);
    }
    HWY_INLINE void put_codes(hn::Vec<D32> codes, F8* row) const { store_codes(codes, row + first); }
};
struct Part {
    size_t first, count;
    template <class T>
    HWY_INLINE V operator()(const T* row) const {
        return load_part(row + first, count);
    }
    template <class T>
    HWY_INLINE void put(V v, T* row) const {
        store_part(v, row + first, count);
    }
    HWY_INLINE void put_codes(hn::Vec<D32> codes, F8* row) const {
        F8 padded[kLanes];
        store_codes(codes, padded);
        std::memcpy(row + first, padded, count);
    }
};
template <class F>
HWY_INLINE void for_vectors(size_t n, F&& f) {
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) f(Whole{i});
    if (i < n) f(Part{i, n - i});
}

// Sums of the lanes of four vectors, as the four lanes of `Sum4`. Each sum is added in an order of its own that doesn't
// depend on its place nor on the other three.
using D4 = hn::FixedTag<float, 4>;
using Sum4 = hn::Vec<D4>;
template <class DD, class VV>
HWY_INLINE Sum4 fold(DD d, VV v) {
    if constexpr (hn::MaxLanes(d) == 4) {
        return v;
    } else {
        const hn::Half<DD> half;
        return fold(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
    }
}
HWY_INLINE Sum4 sums(V a, V b, V c, V e) {
    const D d;
    const hn::Repartition<uint64_t, D> d64;
    // [a0+a2 b0+b2 a1+a3 b1+b3] in every 128-bit block, and c, e alike.
    const V ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
    const V ce = hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
    const auto x = hn::BitCast(d64, ab), y = hn::BitCast(d64, ce);
    const V all =
        hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, x, y)), hn::BitCast(d, hn::InterleaveUpper(d64, x, y)));
    return fold(d, all);
}
HWY_INLINE float sum(V v) {
    const V zero = hn::Zero(D());
    return hn::GetLane(sums(v, zero, zero, zero));
}

// The largest lane.
HWY_INLINE float maximum(V v) {
    float lanes[kLanes];
    hn::StoreU(v, D(), lanes);
    float m = lanes[0];
    for (size_t i = 1; i < kLanes; ++i) m = lanes[i] > m ? lanes[i] : m;
    return m;
}

// e^x, within 1.5 ulp; +inf above 88.8, 0 below -104, NaN kept. Cephes' expf polynomial on [-ln2/2, ln2/2].
HWY_INLINE V exp(V x) {
    const D d;
    const hn::RebindToSigned<D> di;
    // min and max return their second argument when one is NaN on x86, NaN on Arm: either way it stays.
    const V clamped = hn::Max(hn::Set(d, -110.0f), hn::Min(hn::Set(d, 95.0f), x));
    const V n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504088896341f)));
    V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
    r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
    V p = hn::Set(d, 1.9875691500e-4f);
    p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
    p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
    p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
    p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
    p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
    p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
    // Two factors: 2^n itself leaves f32's normal range at both ends.
    const auto whole = hn::ConvertTo(di, n);
    const auto half = hn::ShiftRight<1>(whole);
    const auto bias = hn::Set(di, 127);
    const V first = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
    const V second = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(whole, half), bias)));
    return hn::Mul(hn::Mul(p, first), second);
}

#endif  // VKS_SIMD
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
