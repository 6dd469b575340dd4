// Highway's matrix-product kernels: f32 arithmetic, any weight and activation dtype.
#pragma once
#include "plugins/cpu/simd/gemm.h"

namespace vks::cpu::simd {

// The kernels for weights of this dtype on this machine; null where it runs none of Highway's targets (highway.h).
const GemmKernels* gemm_kernels(uint32_t w_dtype);

}  // namespace vks::cpu::simd
