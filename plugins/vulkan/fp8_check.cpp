#include "plugins/vulkan/fp8_check.h"

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

}  // namespace vks::vulkan
