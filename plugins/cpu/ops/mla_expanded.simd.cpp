// mla_expanded/1 by Highway: products by the kernels of gemm_simd.h in f32 arithmetic, or those of gemm_avx512bf16.h;
// the softmax between them in f32. Bound: 2 * heads * (rows * lora * (nope + v) + pairs * (nope + rope + v))
// operations, a pair being a token and a row that it sees.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/mla_expanded.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/expanded.h"
#include "plugins/cpu/simd/gemm_avx512bf16.h"
#include "plugins/cpu/simd/gemm_simd.h"
#include "plugins/cpu/simd/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

template <class T>
float weigh_as(const Weighing& w, T* weights) {
    const V scale = hn::Set(D(), w.scale);
    const auto keys = static_cast<size_t>(w.keys);
    float now = *w.maximum;
    size_t i = 0;
    if (keys >= kLanes) {
        V most = hn::Mul(load(w.scores), scale);
        for (i = kLanes; i + kLanes <= keys; i += kLanes) most = hn::Max(most, hn::Mul(load(w.scores + i), scale));
        now = std::max(now, maximum(most));
    }
    for (; i < keys; ++i) now = std::max(now, w.scores[i] * w.scale);
    const V shift = hn::Set(D(), now);
    V total = hn::Zero(D());
    for_vectors(keys, [&](auto v) HWY_ATTR {
        v.put(exp(hn::Sub(hn::Mul(v(w.scores), scale), shift)), weights);
        total = hn::Add(total, v(weights));
    });
    const float shrink = hn::GetLane(exp(hn::Set(D(), *w.maximum - now)));
    *w.maximum = now;
    *w.sum = *w.sum * shrink + sum(total);
    return shrink;
}

float weigh(const Weighing& w, uint32_t dtype) {
    return dtype == VKS_F32 ? weigh_as(w, static_cast<float*>(w.weights)) : weigh_as(w, static_cast<Bf16*>(w.weights));
}

void accumulate(float* to, const float* from, int64_t n, float shrink) {
    const V factor = hn::Set(D(), shrink);
    for_vectors(static_cast<size_t>(n), [&](auto v) HWY_ATTR { v.put(hn::MulAdd(v(to), factor, v(from)), to); });
}

void finish(const float* from, int64_t n, float sum, void* to, uint32_t dtype) {
    const V factor = hn::Set(D(), 1.0f / sum);
    for_vectors(static_cast<size_t>(n), [&](auto v) HWY_ATTR {
        const V result = hn::Mul(v(from), factor);
        dtype == VKS_F32 ? v.put(result, static_cast<float*>(to)) : v.put(result, static_cast<Bf16*>(to));
    });
}

const GemmKernels* portable(uint32_t, uint32_t w_dtype) {
    return gemm_kernels(w_dtype);
}

constexpr ExpandedKernels kPortable = {portable, weigh, accumulate, finish};
constexpr ExpandedKernels kBf16 = {avx512bf16_kernels, weigh, accumulate, finish};

const ExpandedKernels* kernels(bool bf16) {
    return bf16 ? &kBf16 : &kPortable;
}

#else
const ExpandedKernels* kernels(bool) {
    return nullptr;
}
#endif  // VKS_SIMD
}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vks::cpu {
namespace simd {
namespace {

HWY_EXPORT(kernels);

enum { kQ, kQPe, kCache, kW };

uint64_t scratch(const Signature& s) {
    return expanded_scratch(*HWY_DYNAMIC_DISPATCH(kernels)(false), s);
}
void run(const Call& call) {
    expanded(*HWY_DYNAMIC_DISPATCH(kernels)(false), call);
}

bool has_bf16(const Signature& s) {
    return has_target(s) && s.args[kQ].dtype == VKS_BF16 && avx512bf16_kernels(VKS_BF16, s.args[kW].dtype) != nullptr;
}
uint64_t scratch_bf16(const Signature& s) {
    return expanded_scratch(*HWY_DYNAMIC_DISPATCH(kernels)(true), s);
}
void run_bf16(const Call& call) {
    expanded(*HWY_DYNAMIC_DISPATCH(kernels)(true), call);
}

}  // namespace
}  // namespace simd

constinit const Variant simd_mla_expanded = {nullptr, simd::target, simd::has_target, simd::scratch, simd::run};
constinit const Variant avx512bf16_mla_expanded = {"avx512bf16", nullptr, simd::has_bf16, simd::scratch_bf16,
                                                   simd::run_bf16};

}  // namespace vks::cpu
#endif  // HWY_ONCE
