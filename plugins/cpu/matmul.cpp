// The plain matrix product: every output is one scaled_dot, nothing is blocked for caches or registers.
#include "plugins/cpu/matmul.h"

#include "plugins/cpu/dot.h"
#include "plugins/cpu/load.h"

namespace vks::cpu {
namespace {

template <class X, class W, class Y>
void columns(const Product& p, int64_t first_column, int64_t last_column) {
    const int64_t k = p.w.dim[1], scales = blocks(k);
    for (int64_t n = first_column; n < last_column; ++n) {
        const float* w_scale = p.w_scale ? row<float>(p.w_scale, n / kBlock) : nullptr;
        for (int64_t r = p.first; r < p.last; ++r) {
            const int64_t from = p.row ? p.row[r] : r;
            float sum = 0;
            if (from >= 0 && from < p.x.rows()) {
                const float* x_scale = p.x_scale ? p.x_scale.as<float>() + from * scales : nullptr;
                sum = scaled_dot(row<X>(p.x, from), x_scale, row<W>(p.w, n), w_scale, k);
            }
            store(out_row<Y>(p.y, r) + n, sum);
        }
    }
}

}  // namespace

void multiply(Pool& pool, const Product& p) {
    with_any(p.x.dtype, [&](auto x) {
        with_any(p.w.dtype, [&](auto w) {
            with_activation(p.y.dtype, [&](auto y) {
                pool.parallel_for(p.w.dim[0], 8, [&](int64_t first, int64_t last, int) {
                    columns<decltype(x), decltype(w), decltype(y)>(p, first, last);
                });
            });
        });
    });
}

}  // namespace vks::cpu
