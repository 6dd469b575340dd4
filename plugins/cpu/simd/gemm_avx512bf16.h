// Matrix-product kernels for CPUs with AVX512_BF16: products of bf16 pairs, sums in f32.
#pragma once
#include "plugins/cpu/simd/gemm.h"

namespace vks::cpu::simd {

// For x in bf16 or e4m3 and w in bf16 or e4m3; null for other w and where the CPU or compiler lacks the instructions.
// e4m3 values are exact in bf16; their scales multiply the f32 sum of each block of 128.
const GemmKernels* avx512bf16_kernels(uint32_t x_dtype, uint32_t w_dtype);

}  // namespace vks::cpu::simd
