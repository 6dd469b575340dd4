// RMSNorm's row statistic, shared by the operators that normalise.
#pragma once
#include <cmath>

#include "plugins/cpu/dot.h"

namespace vks::cpu {

// 1 / sqrt(mean(x^2) + eps) over n elements.
template <class X>
float inverse_rms(const X* x, int64_t n, float eps) {
    return 1.0f / std::sqrt(dot(x, x, n) / static_cast<float>(n) + eps);
}

}  // namespace vks::cpu
