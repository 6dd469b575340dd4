// mtp_merge/1 by Highway. Bound: memory bandwidth.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/mtp_merge.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

enum { kE, kH, kWe, kWh, kY };

// Writes one normalised half into columns [column, column + H) of y.
void half(const Call& call, const Arg& x, const Arg& w, int64_t column) {
    const Arg& y = call.args[kY];
    const int64_t n = x.dim[1];
    const float eps = call.get<vks_norm_params>().eps;
    with_activation(x.dtype, [&](auto x_type) {
        with_weight(w.dtype, [&](auto w_type) {
            with_activation(y.dtype, [&](auto y_type) {
                for_rows(call, x.rows(), n, [&](int64_t t, int) {
                    rms_norm_row(row<decltype(x_type)>(x, t), w.as<decltype(w_type)>(), static_cast<size_t>(n), eps,
                                 out_row<decltype(y_type)>(y, t) + column);
                });
            });
        });
    });
}

void run(const Call& call) {
    half(call, call.args[kE], call.args[kWe], 0);
    half(call, call.args[kH], call.args[kWh], call.args[kE].dim[1]);
}

#else
void run(const Call&) {}
#endif  // VKS_SIMD
}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
VKS_SIMD_VARIANT(simd_mtp_merge);
#endif
