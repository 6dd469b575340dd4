// Sums in one fixed order: 128 elements first, then the blocks' sums. That order depends on nothing but the length, so
// a row's bits are the same in every batch, and it keeps f32 sums of thousands of terms within a few ulp.
#pragma once
#include <algorithm>
#include <cstdint>

#include "plugins/cpu/numeric.h"
#include "plugins/cpu/op.h"

namespace vks::cpu {

// sum_i f(i) for i in [0, n).
template <class F>
float block_sum(int64_t n, F&& f) {
    float total = 0;
    for (int64_t first = 0; first < n; first += kBlock) {
        const int64_t last = std::min(n, first + kBlock);
        float partial = 0;
        for (int64_t i = first; i < last; ++i) partial += f(i);
        total += partial;
    }
    return total;
}

// sum_k x[k] * w[k], without scales.
template <class X, class W>
float dot(const X* x, const W* w, int64_t n) {
    return block_sum(n, [&](int64_t k) { return to_float(x[k]) * to_float(w[k]); });
}

// The same with one scale per block on either side; a null one is 1:
// sum_b x_scale[b] * w_scale[b] * sum_{k in b} x[k] * w[k].  (V3 report, section 3.3.2)
template <class X, class W>
float scaled_dot(const X* x, const float* x_scale, const W* w, const float* w_scale, int64_t n) {
    float total = 0;
    for (int64_t b = 0; b * kBlock < n; ++b) {
        float partial = 0;
        for (int64_t k = b * kBlock; k < std::min(n, (b + 1) * kBlock); ++k) partial += to_float(x[k]) * to_float(w[k]);
        if (w_scale) partial *= w_scale[b];
        if (x_scale) partial *= x_scale[b];
        total += partial;
    }
    return total;
}

}  // namespace vks::cpu
