// The number formats of weights and activations: bf16, f16 and FP8 e4m3 to and from f32, exactly.
// Encoding rounds to nearest, ties to even; e4m3 saturates at 448 (infinities too) and has no infinity.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace vks::cpu {

struct Bf16 {
    uint16_t bits;
};
struct F16 {
    uint16_t bits;
};
struct F8 {
    uint8_t bits;  // e4m3: sign, 4 exponent bits (bias 7), 3 mantissa bits; NaN 0x7f and 0xff
};

inline constexpr float kF8Max = 448.0f;

constexpr float to_float(float x) {
    return x;
}
constexpr float to_float(Bf16 x) {
    return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}

constexpr float to_float(F16 x) {
    const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
    const uint32_t magnitude = x.bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    // Below 2^-14 the value is magnitude * 2^-24, exact in f32.
    const float value = magnitude < 0x400u ? static_cast<float>(magnitude) * 0x1p-24f
                                           : std::bit_cast<float>((magnitude << 13) + (112u << 23));
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

constexpr float decode_f8(uint32_t code) {
    const uint32_t exponent = code >> 3 & 15u, mantissa = code & 7u;
    const uint32_t sign = (code & 0x80u) << 24;
    if ((code & 0x7fu) == 0x7fu) return std::bit_cast<float>(sign | 0x7fc00000u);
    const float value = exponent == 0 ? static_cast<float>(mantissa) * 0x1p-9f
                                      : std::bit_cast<float>((exponent + 120u) << 23 | mantissa << 20);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

// The value of every e4m3 code.
inline constexpr std::array<float, 256> kF8Value = [] {
    std::array<float, 256> table{};
    for (uint32_t code = 0; code < 256; ++code) table[code] = decode_f8(code);
    return table;
}();

inline float to_float(F8 x) {
    return kF8Value[x.bits];
}

constexpr Bf16 to_bf16(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};  // NaN stays NaN
    return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

constexpr F16 to_f16(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    uint32_t code = 0;
    if (magnitude > 0x7f800000u) {
        code = 0x7e00u;
    } else if (magnitude >= 0x477ff000u) {  // 65520 and up round to infinity
        code = 0x7c00u;
    } else if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves a grid of 2^-24
        code = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
    } else {
        code = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    }
    return {static_cast<uint16_t>(sign | code)};
}

constexpr F8 to_f8(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t sign = bits >> 24 & 0x80u, magnitude = bits & 0x7fffffffu;
    uint32_t code = 0;
    if (magnitude > 0x7f800000u) {
        code = 0x7fu;
    } else if (magnitude >= std::bit_cast<uint32_t>(kF8Max)) {
        code = 0x7eu;
    } else if (magnitude < 0x3c800000u) {  // below 2^-6: adding 2^14 leaves a grid of 2^-9
        code = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 16384.0f) - std::bit_cast<uint32_t>(16384.0f);
    } else {
        code = ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3);
    }
    return {static_cast<uint8_t>(sign | code)};
}

inline void store(float* to, float x) {
    *to = x;
}
inline void store(Bf16* to, float x) {
    *to = to_bf16(x);
}

}  // namespace vks::cpu
