// add/1 by Highway. Bound: memory bandwidth.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/add.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

enum { kA, kB, kY };

template <class A, class B, class Y>
void add_row(const A* a, const B* b, size_t n, Y* y) {
    for_vectors(n, [&](auto v) HWY_ATTR { v.put(hn::Add(v(a), v(b)), y); });
}

void run(const Call& call) {
    const Arg &a = call.args[kA], &b = call.args[kB], &y = call.args[kY];
    const int64_t n = y.dim[1];
    with_activation(a.dtype, [&](auto a_type) {
        with_activation(b.dtype, [&](auto b_type) {
            with_activation(y.dtype, [&](auto y_type) {
                for_rows(call, y.rows(), n, [&](int64_t t, int) {
                    add_row(row<decltype(a_type)>(a, t), row<decltype(b_type)>(b, t), static_cast<size_t>(n),
                            out_row<decltype(y_type)>(y, t));
                });
            });
        });
    });
}

#else
void run(const Call&) {}
#endif  // VKS_SIMD
}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
VKS_SIMD_VARIANT(simd_add);
#endif
