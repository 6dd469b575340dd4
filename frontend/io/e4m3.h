// FP8 e4m3, the number format of quantised weights: sign, 4 bits of exponent with bias 7, 3 of mantissa. No infinity;
// the largest value is 448, NaN is 0x7f and 0xff.
#pragma once
#include <bit>
#include <cstdint>

namespace vks {

inline constexpr float kE4m3Max = 448;

constexpr float decode_e4m3(uint8_t code) {
    const uint32_t magnitude = code & 0x7fu, sign = static_cast<uint32_t>(code & 0x80u) << 24;
    if (magnitude == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000u);
    const float value = magnitude < 8 ? static_cast<float>(magnitude) * 0x1p-9f
                                      : std::bit_cast<float>((magnitude << 20) + (120u << 23));
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

// To nearest, ties to the even code; saturates, infinities too. Without branches, so that loops over it vectorise.
constexpr uint8_t encode_e4m3(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffffu;
    const uint32_t normal = ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3);
    // Below 2^-6 the values are multiples of 2^-9, the last place of numbers from 2^14 on.
    constexpr float kGrid = 0x1p14f;
    const float shifted = std::bit_cast<float>(magnitude) + kGrid;
    const uint32_t subnormal = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kGrid);
    uint32_t code = magnitude < 0x3c800000u ? subnormal : normal < 0x7eu ? normal : 0x7eu;
    code = magnitude > 0x7f800000u ? 0x7fu : code;
    return static_cast<uint8_t>(code | (bits >> 24 & 0x80u));
}

}  // namespace vks
