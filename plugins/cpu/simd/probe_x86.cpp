// Products of bf16 pairs and of 8-bit quadruples, where the CPU has instructions for them.
#include "backend/abi/draft/probe.h"
#include "plugins/cpu/simd/avx512bf16.h"
#include "plugins/cpu/simd/probe.h"

namespace vks::cpu::simd {
namespace {

#if VKS_AVX512BF16

constexpr int kChains = 12;
constexpr double kBf16 = 2.0 * 32 * kChains, kI8 = 2.0 * 64 * kChains;

VKS_AVX512BF16_BEGIN

float multiply_bf16(int64_t rounds) {
    __m512 sum[kChains];
    const auto a = (__m512bh)_mm512_set1_epi16(0x3f00), b = (__m512bh)_mm512_set1_epi16(short(rounds & 0x7f));
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_ps(float(i));
    for (int64_t r = 0; r < rounds; ++r) {
        VKS_AVX512BF16_UNROLL
        for (int i = 0; i < kChains; ++i) {  // NOLINT(modernize-loop-convert): the pragma wants this form
            sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
        }
    }
    VKS_AVX512BF16_UNROLL
    for (int i = 1; i < kChains; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_reduce_add_ps(sum[0]);
}

VKS_AVX512BF16_END

#if !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")

float multiply_i8(int64_t rounds) {
    __m512i sum[kChains];
    const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(char(rounds & 0x3f));
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_epi32(i);
    for (int64_t r = 0; r < rounds; ++r) {
        VKS_AVX512BF16_UNROLL
        for (int i = 0; i < kChains; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
    }
    VKS_AVX512BF16_UNROLL
    for (int i = 1; i < kChains; ++i) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
    return float(_mm512_reduce_add_epi32(sum[0]));
}

#pragma GCC pop_options

Multiplier i8() {
    return __builtin_cpu_supports("avx512vnni") ? Multiplier{kI8, multiply_i8} : Multiplier{};
}
#else
Multiplier i8() {
    return {};
}
#endif

Multiplier bf16() {
    return has_avx512bf16() ? Multiplier{kBf16, multiply_bf16} : Multiplier{};
}

#else
Multiplier bf16() {
    return {};
}
Multiplier i8() {
    return {};
}
#endif  // VKS_AVX512BF16

}  // namespace

Multiplier x86_multiplier(uint64_t kind) {
    if (kind == VKS_PROBE_BF16) return bf16();
    if (kind == VKS_PROBE_I8) return i8();
    return {};
}

}  // namespace vks::cpu::simd
