// act_quant/1 by Highway. Codes and scales agree bit for bit with the plain variant. Bound: memory
// bandwidth.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/act_quant.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <algorithm>

#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/quant-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

enum { kX, kQ, kScale };

void run(const Call& call) {
    const Arg &x = call.args[kX], &q = call.args[kQ], &scale = call.args[kScale];
    const bool ue8m0 = call.get<vks_act_quant_params>().ue8m0 != 0;
    const int64_t n = x.dim[1];
    with_activation(x.dtype, [&](auto type) {
        for_rows(call, x.rows(), n, [&](int64_t t, int) {
            for (int64_t first = 0; first < n; first += kBlock) {
                out_row<float>(scale, t)[first / kBlock] =
                    quantise(row<decltype(type)>(x, t) + first, static_cast<size_t>(std::min(kBlock, n - first)), ue8m0,
                             out_row<F8>(q, t) + first);
            }
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
VKS_SIMD_VARIANT(simd_act_quant);
#endif
