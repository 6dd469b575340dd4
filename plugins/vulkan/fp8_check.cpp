#include "plugins/vulkan/fp8_check.h"

#include <algorithm>
#include <cmath>

#include "plugins/vulkan/alone.h"

namespace vks::vulkan {
namespace {

constexpr int64_t kCodes = 256;

float value_of(uint32_t code) {
    const uint32_t exponent = code >> 3 & 15, mantissa = code & 7;
    if (exponent == 15 && mantissa == 7) return NAN;
    const float magnitude =
        exponent == 0 ? std::ldexp(float(mantissa), -9) : std::ldexp(float(8 + mantissa), int(exponent) - 10);
    return code & 0x80 ? -magnitude : magnitude;
}

bool same(float a, float b) {
    return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

}  // namespace

bool decodes_fp8_by_half(vks_device& device) {
    Alone codes(device, {"fp8_codes", 64, {{"HALF", 1}}}, kCodes * sizeof(float), Memory::kHost);
    bool right = codes.run({});
    const auto* found = reinterpret_cast<const float*>(codes.mapped());
    for (int64_t code = 0; right && code < kCodes; ++code) right = same(found[code], value_of(uint32_t(code)));
    return right;
}

bool multiplies_float8(vks_device& device) {
    const MatrixShape& m = device.caps().matrix8;
    if (!m || !has_shader("float8_codes")) return false;
    const Program program{"float8_codes", m.subgroup, {{"TM", m.m}, {"TN", m.n}, {"TK", m.k}}, m.ask ? m.subgroup : 0};
    const int64_t step = std::max(m.k, m.n), rows = std::max<int64_t>(kCodes / m.k, m.m);
    Alone codes(device, program, uint64_t(rows * step) * sizeof(float), Memory::kHost);
    bool right = codes.run({});
    const auto* found = reinterpret_cast<const float*>(codes.mapped());
    for (int64_t code = 0; right && code < kCodes; ++code) {
        const float value = value_of(uint32_t(code));  // a sum has no negative zero, and a NaN would spoil its row
        right = std::isnan(value) || found[code / m.k * step + code % m.k] == value;
    }
    return right;
}

}  // namespace vks::vulkan
