// From an operator's arguments to Products: fp8_gemm, gemm, grouped_gemm and head_gemm's EXPAND, for any kernels.
// Each pair is a Variant's scratch and run.
#pragma once
#include "plugins/cpu/op.h"
#include "plugins/cpu/simd/gemm.h"

namespace vks::cpu::simd {

uint64_t fp8_gemm_scratch(const GemmKernels& kernels, const Signature& s);
void fp8_gemm(const GemmKernels& kernels, const Call& call);

uint64_t gemm_op_scratch(const GemmKernels& kernels, const Signature& s);
void gemm_op(const GemmKernels& kernels, const Call& call);

uint64_t grouped_gemm_scratch(const GemmKernels& kernels, const Signature& s);
void grouped_gemm(const GemmKernels& kernels, const Call& call);

uint64_t head_expand_scratch(const GemmKernels& kernels, const Signature& s);
void head_expand(const GemmKernels& kernels, const Call& call);

}  // namespace vks::cpu::simd
