// moe_combine/1 by Highway. Bound: memory bandwidth.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/moe_combine.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <algorithm>

#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

enum { kY, kPos, kWeight, kBase, kOut };

// Columns that travel between threads together.
constexpr int64_t kColumns = 2048;

template <class Y, class B, class O>
void combine(const Call& call, int64_t t, int64_t first, int64_t last) {
    const Arg& y = call.args[kY];
    const int32_t* pos = row<int32_t>(call.args[kPos], t);
    const float* weight = row<float>(call.args[kWeight], t);
    const B* base = call.args[kBase] ? row<B>(call.args[kBase], t) + first : nullptr;
    O* out = out_row<O>(call.args[kOut], t) + first;
    for_vectors(static_cast<size_t>(last - first), [&](auto v) HWY_ATTR {
        V sum = base ? v(base) : hn::Zero(D());
        for (int64_t j = 0; j < call.args[kPos].dim[1]; ++j) {
            if (pos[j] < 0 || pos[j] >= y.rows()) continue;
            sum = hn::MulAdd(hn::Set(D(), weight[j]), v(row<Y>(y, pos[j]) + first), sum);
        }
        v.put(sum, out);
    });
}

void run(const Call& call) {
    const Arg &base = call.args[kBase], &out = call.args[kOut];
    const int64_t n = out.dim[1], parts = (n + kColumns - 1) / kColumns;
    with_activation(call.args[kY].dtype, [&](auto y) {
        with_activation(base ? base.dtype : uint32_t{VKS_F32}, [&](auto b) {
            with_activation(out.dtype, [&](auto o) {
                for_rows(call, out.rows() * parts, std::min(n, kColumns), [&](int64_t i, int) {
                    const int64_t first = i % parts * kColumns;
                    combine<decltype(y), decltype(b), decltype(o)>(call, i / parts, first,
                                                                   std::min(n, first + kColumns));
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
VKS_SIMD_VARIANT(simd_moe_combine);
#endif
