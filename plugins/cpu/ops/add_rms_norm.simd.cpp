// add_rms_norm/1 by Highway. Bound: memory bandwidth.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/add_rms_norm.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

enum { kX, kDelta, kW, kSum, kY };

template <class T>
void add_row(const float* x, const T* delta, size_t n, float* sum) {
    for_vectors(n, [&](auto v) HWY_ATTR { v.put(hn::Add(v(x), v(delta)), sum); });
}

void run(const Call& call) {
    const Arg &x = call.args[kX], &delta = call.args[kDelta], &w = call.args[kW], &y = call.args[kY];
    const auto n = static_cast<size_t>(x.dim[1]);
    const float eps = call.get<vks_norm_params>().eps;
    with_activation(delta.dtype, [&](auto delta_type) {
        with_weight(w.dtype, [&](auto w_type) {
            with_activation(y.dtype, [&](auto y_type) {
                for_rows(call, x.rows(), x.dim[1], [&](int64_t t, int) {
                    float* sum = out_row<float>(call.args[kSum], t);
                    add_row(row<float>(x, t), row<decltype(delta_type)>(delta, t), n, sum);
                    rms_norm_row(sum, w.as<decltype(w_type)>(), n, eps, out_row<decltype(y_type)>(y, t));
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
VKS_SIMD_VARIANT(simd_add_rms_norm);
#endif
