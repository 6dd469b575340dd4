// FP8 quantisation of a group of up to 128 values (V3 report, section 3.3.2): s = max(amax, 1e-4) / 448, code =
// e4m3(v / s), bit for bit as IEEE arithmetic gives them. GLSL's division may be off by 2.5 ulp, its fma may be two
// roundings and subnormals may be flushed, so values are taken apart and divided as integers.
#ifndef VKS_QUANT
#define VKS_QUANT
#include "lib/reduce.glsl"

const uint kInfinity = 0x7f800000u;
const uint kLeastMax = 0x38d1b717u;  // 1e-4
const uint kF8Max = 0x43e00000u;     // 448

// Bits of a / b rounded to nearest even, of bits of positive normal numbers. A quotient below 2^-126 becomes 0.
// The mantissas' quotient by floats is off by at most 2.5 ulp (Vulkan's bound) and, made an integer, by 3 either way. What
// it leaves of the dividend is then less than 5 divisors in size, so that it survives in the low 32 bits of a difference
// of 48-bit products, and at most four steps bring it into [0, divisor): quotient and rest are exact, and decide the
// rounding.
uint divide(uint a, uint b) {
    const uint top = (a & 0x7fffffu) | 0x800000u, under = (b & 0x7fffffu) | 0x800000u;
    const uint shift = top < under ? 24u : 23u;  // quotient in [2^23, 2^24)
    uint quotient = uint(float(top) / float(under) * float(1u << shift));
    int rest = int((top << shift) - quotient * under);
    for (uint i = 0; i < 4u; ++i) {
        const int step = rest < 0 ? -1 : rest >= int(under) ? 1 : 0;
        quotient += uint(step);
        rest -= step * int(under);
    }
    const bool up = 2 * rest > int(under) || (2 * rest == int(under) && (quotient & 1u) == 1u);
    const int exponent = int(a >> 23) - int(b >> 23) + 150 - int(shift);  // 127 for quotients in [1, 2)
    if (exponent <= 0) return 0u;
    if (exponent >= 255) return kInfinity;
    return (uint(exponent) << 23) + (quotient - 0x800000u) + (up ? 1u : 0u);  // rounding up may carry into the exponent
}

// The e4m3 code of a magnitude: to nearest even, saturating at 448.
uint to_f8(uint magnitude) {
    if (magnitude >= kF8Max) return 0x7eu;
    if (magnitude >= 0x3c800000u) return ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3);
    // Below 2^-6: multiples of 2^-9.
    const uint shift = min(141u - (magnitude >> 23), 25u), mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    return (mantissa + (1u << (shift - 1u)) - 1u + (mantissa >> shift & 1u)) >> shift;
}

// Of v / s with the scale's bits; s is at least 1e-4 / 448.
uint quantised(float v, uint scale) {
    const uint bits = floatBitsToUint(v), magnitude = bits & 0x7fffffffu, sign = bits >> 24 & 0x80u;
    if (magnitude > kInfinity || (magnitude == kInfinity && scale == kInfinity)) return sign | 0x7fu;
    if (scale == kInfinity || magnitude < 0x800000u) return sign;
    return sign | to_f8(divide(magnitude, scale));
}

// The scale's bits of a group, from the bits of its largest magnitude. ue8m0: rounded up to a power of two.
uint scale_of(uint most, bool ue8m0) {
    if (most == kInfinity) return kInfinity;
    const uint scale = divide(max(most, kLeastMax), kF8Max);
    return ue8m0 ? (scale + 0x7fffffu) & kInfinity : scale;
}

// As a term of the maximum: NaN is none.
uint magnitude_of(float v) {
    const uint magnitude = floatBitsToUint(v) & 0x7fffffffu;
    return magnitude > kInfinity ? 0u : magnitude;
}

// A group's words of codes per invocation: 33 when it begins in the middle of one.
const uint kHeld = (33u + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x;

// Codes [first, first + n) of an f8 tensor, n <= 128, of ELEMENT(i) for i counted as the codes, and the group's scale, by
// the whole workgroup. Words with other codes in them are left alone but for ours: hence atomics at the ends.
#define QUANTISE(codes, first, n, scales, scale_at, ue8m0, ELEMENT)                                     \
    {                                                                                                   \
        vec4 held[kHeld];                                                                               \
        uint most = 0;                                                                                  \
        const uint begin = (first), end = begin + (n), first_word = (begin >> 2) + gl_LocalInvocationIndex; \
        for (uint h = 0; h < kHeld; ++h) {                                                              \
            for (uint j = 0; j < 4u; ++j) {                                                             \
                const uint i = 4u * (first_word + h * gl_WorkGroupSize.x) + j;                          \
                held[h][j] = 0;                                                                         \
                if (i >= begin && i < end) held[h][j] = ELEMENT(i);                                     \
                most = max(most, magnitude_of(held[h][j]));                                             \
            }                                                                                           \
        }                                                                                               \
        const uint scale = scale_of(team_max(most), ue8m0);                                             \
        if (gl_LocalInvocationIndex == 0u) scales[scale_at] = scale;                                    \
        for (uint h = 0; h < kHeld; ++h) {                                                              \
            const uint word = first_word + h * gl_WorkGroupSize.x;                                      \
            if (4u * word >= end) continue;                                                             \
            uint code = 0, mask = 0;                                                                    \
            for (uint j = 0; j < 4u; ++j) {                                                             \
                if (4u * word + j < begin || 4u * word + j >= end) continue;                            \
                code |= quantised(held[h][j], scale) << 8u * j;                                         \
                mask |= 0xffu << 8u * j;                                                                \
            }                                                                                           \
            if (mask == 0xffffffffu) {                                                                  \
                codes[word] = code;                                                                     \
            } else {                                                                                    \
                atomicAnd(codes[word], ~mask);                                                          \
                atomicOr(codes[word], code);                                                            \
            }                                                                                           \
        }                                                                                               \
    }
#endif
