// FP8 quantisation of a group of up to 128 activations (V3 report, section 3.3.2): s = max(amax, 1e-4) / 448,
// q = e4m3(x / s). Division is IEEE, so codes and scales agree bit for bit with any other correct implementation.
#pragma once
#include <bit>
#include <cmath>

#include "plugins/cpu/numeric.h"

namespace vks::cpu {

// The smallest power of two that isn't below s. s is finite and positive.
inline float round_up_to_power_of_two(float s) {
    const uint32_t bits = std::bit_cast<uint32_t>(s);
    return std::bit_cast<float>((bits + 0x7fffffu) & 0x7f800000u);
}

// The scale of group x[0, n); codes go to q.
inline float quantise_group(const float* x, int64_t n, bool ue8m0, F8* q) {
    float amax = 1e-4f;
    for (int64_t i = 0; i < n; ++i) amax = std::fmax(amax, std::fabs(x[i]));
    float s = amax / kF8Max;
    if (ue8m0) s = round_up_to_power_of_two(s);
    for (int64_t i = 0; i < n; ++i) q[i] = to_f8(x[i] / s);
    return s;
}

}  // namespace vks::cpu
