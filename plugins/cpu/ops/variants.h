// The vector versions of the operators that have one, defined in ops/<op>.simd.cpp (Highway, any machine) and
// ops/<op>.avx512bf16.cpp (x86 with AVX512_BF16; bf16 activations only). Each defines its variant
// `constinit const Variant`, with `usable` deciding by CPU and dtypes; a build that can't compile a file's
// instructions still defines the variant, as one that is never usable.
#pragma once
#include "plugins/cpu/op.h"

namespace vks::cpu {

extern const Variant simd_rms_norm;
extern const Variant simd_add_rms_norm;
extern const Variant simd_act_quant;
extern const Variant simd_fp8_gemm;
extern const Variant simd_gemm;
extern const Variant simd_head_gemm;
extern const Variant simd_mla_rope_append;
extern const Variant simd_mla_attention;
extern const Variant simd_mla_expanded;
extern const Variant simd_swiglu_quant;
extern const Variant simd_grouped_gemm;
extern const Variant simd_moe_combine;
extern const Variant simd_add;
extern const Variant simd_mtp_merge;

extern const Variant avx512bf16_fp8_gemm;
extern const Variant avx512bf16_gemm;
extern const Variant avx512bf16_head_gemm;
extern const Variant avx512bf16_grouped_gemm;
extern const Variant avx512bf16_mla_attention;
extern const Variant avx512bf16_mla_expanded;  // in ops/mla_expanded.simd.cpp

}  // namespace vks::cpu
