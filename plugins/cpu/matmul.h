// The plain matrix product behind fp8_gemm, gemm and grouped_gemm.
#pragma once
#include "plugins/cpu/op.h"

namespace vks::cpu {

// y[r, n] = x[row[r]] . w[n] for r in [first, last) and every n; row null: x[r]. Scales may be absent Args.
//   x act|f8 [rows, K], x_scale f32 [rows, ceil(K/128)], w [N, K], w_scale f32 [ceil(N/128), ceil(K/128)], y act [..,
//   N]
// A row number outside x gives a row of zeros. The work is split over the pool by n: each element is one fixed sum.
struct Product {
    const Arg& x;
    const Arg& x_scale;
    const Arg& w;
    const Arg& w_scale;
    const Arg& y;
    const int32_t* row = nullptr;
    int64_t first = 0, last = 0;
};
void multiply(Pool& pool, const Product& product);

}  // namespace vks::cpu
