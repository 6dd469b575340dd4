// Functions for x86 CPUs with AVX512_BF16 and AVX512_VBMI. The instruction sets are switched on per function between
// VKS_AVX512BF16_BEGIN and _END, not for the file: nothing that a header defines can then be compiled for them and be
// picked by the linker for other CPUs. Everything between the two belongs into an unnamed namespace.
#pragma once

#if defined(__x86_64__) && ((defined(__clang__) && __clang_major__ >= 9) || (!defined(__clang__) && __GNUC__ >= 10))
#define VKS_AVX512BF16 1
// GCC 12's header reads its own "undefined" vectors (PR 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#include <cpuid.h>

#define VKS_AVX512BF16_SETS "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16"
#define VKS_AVX512BF16_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#if __clang_major__ >= 18 && __clang_major__ < 22
#define VKS_AVX512BF16_TARGET __attribute__((target(VKS_AVX512BF16_SETS ",evex512")))
#else
#define VKS_AVX512BF16_TARGET __attribute__((target(VKS_AVX512BF16_SETS)))
#endif
#define VKS_AVX512BF16_BEGIN VKS_AVX512BF16_PRAGMA(clang attribute push(VKS_AVX512BF16_TARGET, apply_to = function))
#define VKS_AVX512BF16_END VKS_AVX512BF16_PRAGMA(clang attribute pop)
#define VKS_AVX512BF16_UNROLL VKS_AVX512BF16_PRAGMA(clang loop unroll(full))
#else
#define VKS_AVX512BF16_BEGIN                \
    VKS_AVX512BF16_PRAGMA(GCC push_options) \
    VKS_AVX512BF16_PRAGMA(GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16"))
#define VKS_AVX512BF16_END VKS_AVX512BF16_PRAGMA(GCC pop_options)
#define VKS_AVX512BF16_UNROLL VKS_AVX512BF16_PRAGMA(GCC unroll 32)
#endif

#else
#define VKS_AVX512BF16 0
#endif

namespace vks::cpu::simd {

// Whether this CPU and operating system run them.
inline bool has_avx512bf16() {
#if VKS_AVX512BF16
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

#if VKS_AVX512BF16
// AMD's family of this CPU as cpuid has it, for what depends on a microarchitecture and on no instruction set; another
// vendor's is 0.
inline int amd_family() {
    static const unsigned family = [] {
        unsigned a = 0, b = 0, c = 0, d = 0;
        if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx || !__get_cpuid(1, &a, &b, &c, &d)) return 0U;
        return (a >> 8 & 15) + (a >> 20 & 255);
    }();
    return static_cast<int>(family);
}
constexpr int kZen5 = 0x1a;
#endif

}  // namespace vks::cpu::simd
