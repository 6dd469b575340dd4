// Typed access to arguments whose element type is known only at run time, and the loop over rows.
#pragma once
#include <algorithm>
#include <cstdlib>

#include "plugins/cpu/numeric.h"
#include "plugins/cpu/op.h"

namespace vks::cpu {

// Calls f with a value of the element type: with_weight(w.dtype, [&](auto type) { using W = decltype(type); ... }).
// The op's check has let no other dtype through.
template <class F>
void with_activation(uint32_t dtype, F&& f) {
    if (dtype == VKS_F32) return f(float{});
    if (dtype == VKS_BF16) return f(Bf16{});
    std::abort();
}

// f32, bf16 or f16: norm weights, embedding tables.
template <class F>
void with_weight(uint32_t dtype, F&& f) {
    if (dtype == VKS_F16) return f(F16{});
    with_activation(dtype, f);
}

// f32, bf16, f16 or e4m3.
template <class F>
void with_any(uint32_t dtype, F&& f) {
    if (dtype == VKS_F8_E4M3) return f(F8{});
    with_weight(dtype, f);
}

// The row of a rank-2 argument with elements T.
template <class T>
const T* row(const Arg& a, int64_t r) {
    return a.as<T>() + r * a.row_elements();
}
template <class T>
T* out_row(const Arg& a, int64_t r) {
    return a.out<T>() + r * a.row_elements();
}

// Rows [first, last) of a rank-2 activation become zeros.
inline void clear_rows(const Arg& y, int64_t first, int64_t last) {
    with_activation(y.dtype, [&](auto zero) {
        using Y = decltype(zero);
        std::fill(out_row<Y>(y, first), out_row<Y>(y, last), Y{});
    });
}

// Calls f(row, worker) for every row; small rows travel between threads in handfuls.
template <class F>
void for_rows(const Call& call, int64_t rows, int64_t row_elements, F&& f) {
    const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, row_elements));
    call.pool->parallel_for(rows, grain, [&](int64_t first, int64_t last, int worker) {
        for (int64_t r = first; r < last; ++r) f(r, worker);
    });
}

}  // namespace vks::cpu
