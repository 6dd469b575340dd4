// Reading and f32 multiplication by Highway.
#include "plugins/cpu/simd/probe.h"

#include "backend/abi/draft/probe.h"
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/simd/probe.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
// More than latency times instructions a cycle: 4 or 5 times 2.
constexpr size_t kChains = 12;

float read(const float* x, size_t count) {
    constexpr size_t kStreams = 8;
    const D d;
    hn::Vec<D> sum[kStreams];
    VKS_UNROLL
    for (size_t i = 0; i < kStreams; ++i) sum[i] = hn::Zero(d);
    const size_t lanes = hn::Lanes(d), step = kStreams * lanes;
    size_t at = 0;
    for (; at + step <= count; at += step) {
        VKS_UNROLL
        for (size_t i = 0; i < kStreams; ++i) sum[i] = hn::Add(sum[i], hn::LoadU(d, x + at + i * lanes));
    }
    float rest = 0;
    for (; at < count; ++at) rest += x[at];
    VKS_UNROLL
    for (size_t i = 1; i < kStreams; ++i) sum[0] = hn::Add(sum[0], sum[i]);
    return rest + hn::GetLane(hn::SumOfLanes(d, sum[0]));
}

float multiply(int64_t rounds) {
    const D d;
    hn::Vec<D> sum[kChains];
    VKS_UNROLL
    for (size_t i = 0; i < kChains; ++i) sum[i] = hn::Iota(d, float(i));
    const auto a = hn::Set(d, 0.5f), b = hn::Set(d, float(rounds & 1));
    for (int64_t r = 0; r < rounds; ++r) {
        VKS_UNROLL
        for (size_t i = 0; i < kChains; ++i) sum[i] = hn::MulAdd(sum[i], a, b);
    }
    VKS_UNROLL
    for (size_t i = 1; i < kChains; ++i) sum[0] = hn::Add(sum[0], sum[i]);
    return hn::GetLane(hn::SumOfLanes(d, sum[0]));
}

double operations() {
    return double(2 * kChains * hn::Lanes(D()));
}

#else

float read(const float* x, size_t count) {
    float sum[4] = {};
    for (size_t i = 0; i < count; ++i) sum[i % 4] += x[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}
float multiply(int64_t rounds) {
    float sum[4] = {1, 2, 3, 4};
    for (int64_t r = 0; r < rounds; ++r)
        for (float& x : sum) x = x * 0.5f + float(rounds & 1);
    return sum[0] + sum[1] + sum[2] + sum[3];
}
double operations() {
    return 8;
}

#endif  // VKS_SIMD
}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vks::cpu::simd {
namespace {

HWY_EXPORT(read);
HWY_EXPORT(multiply);
HWY_EXPORT(operations);

float multiply_f32(int64_t rounds) {
    return HWY_DYNAMIC_DISPATCH(multiply)(rounds);
}

}  // namespace

float read_all(const float* x, size_t count) {
    return HWY_DYNAMIC_DISPATCH(read)(x, count);
}

Multiplier multiplier(uint64_t kind) {
    if (kind == VKS_PROBE_F32) return {HWY_DYNAMIC_DISPATCH(operations)(), multiply_f32};
    return x86_multiplier(kind);
}

}  // namespace vks::cpu::simd
#endif  // HWY_ONCE
