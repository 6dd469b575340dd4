// Elements of bf16, f16 and f32 tensors as f32, exactly.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "frontend/io/dtype.h"

namespace vks {

// `element` needs no alignment. Other types aren't for it.
inline float to_float(DType dtype, const std::byte* element) {
    if (dtype == DType::kF32) {
        float value = 0;
        std::memcpy(&value, element, sizeof value);
        return value;
    }
    uint16_t half = 0;
    std::memcpy(&half, element, sizeof half);
    if (dtype == DType::kBF16) return std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    float value = static_cast<float>(magnitude) * 0x1p-24f;  // subnormal
    if (magnitude >= 0x400u) value = std::bit_cast<float>((magnitude << 13) + (112u << 23));
    if (magnitude >= 0x7c00u) value = std::bit_cast<float>(0x7f800000u | magnitude << 13);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

}  // namespace vks
