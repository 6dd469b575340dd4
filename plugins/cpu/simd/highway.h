// Which of Highway's targets the vector variants are compiled for; included before any Highway header.
//
// AVX2, AVX-512 and NEON. Machines below those run the plain variants: the vector ones then are compiled as stubs that
// are never usable. SVE's sizeless vectors can't sit in the register tiles' arrays; its machines run NEON.
#pragma once

// 1 << 29 is HWY_NEON_WITHOUT_AES, which Highway 1.0 doesn't have.
#define HWY_DISABLED_TARGETS (~(HWY_AVX3 | HWY_AVX2 | HWY_NEON | (1LL << 29) | HWY_EMU128 | HWY_SCALAR))

// Within a target's namespace: real vectors here, or a target that this build lacks?
#define VKS_SIMD (HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128)

// The loop that follows has constant bounds and indexes an array of vectors, which must become registers.
#define VKS_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define VKS_UNROLL VKS_PRAGMA(clang loop unroll(full))
#else
#define VKS_UNROLL VKS_PRAGMA(GCC unroll 32)
#endif

// The end of a file whose targets each have a `void run(const Call&)`: the Variant `name`, which runs the best of them.
#define VKS_SIMD_VARIANT(name)                                                                         \
    namespace vks::cpu {                                                                               \
    namespace simd {                                                                                   \
    namespace {                                                                                        \
    HWY_EXPORT(run);                                                                                   \
    void dispatch(const Call& call) {                                                                  \
        HWY_DYNAMIC_DISPATCH(run)(call);                                                               \
    }                                                                                                  \
    }                                                                                                  \
    }                                                                                                  \
    constinit const Variant name = {nullptr, simd::target, simd::has_target, nullptr, simd::dispatch}; \
    }                                                                                                  \
    static_assert(true)

namespace vks::cpu {
struct Signature;
}

namespace vks::cpu::simd {

// The target that runs on this machine: "avx512", "avx2", "neon"; null: a target that this build lacks. A Variant's
// dynamic_name.
const char* target();
// Whether there is one. A Variant's usable.
bool has_target(const Signature&);

}  // namespace vks::cpu::simd
