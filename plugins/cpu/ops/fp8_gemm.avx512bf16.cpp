// fp8_gemm/1 on AVX512_BF16: bf16 or e4m3 activations. Bound: w's bytes when T is small, T*N*K multiply-adds when
// large.
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/gemm_avx512bf16.h"
#include "plugins/cpu/simd/gemm_ops.h"

namespace vks::cpu {
namespace {

enum { kX, kXScale, kW, kWScale, kY };

const simd::GemmKernels* kernels(uint32_t x_dtype) {
    return simd::avx512bf16_kernels(x_dtype, VKS_F8_E4M3);
}
// Codes are also what f32 activations are quantised to, whose results keep their bits however many rows there are.
bool usable(const Signature& s) {
    return (s.args[kX].dtype == VKS_BF16 || s.args[kY].dtype == VKS_BF16) && kernels(s.args[kX].dtype) != nullptr;
}
uint64_t scratch(const Signature& s) {
    return simd::fp8_gemm_scratch(*kernels(s.args[kX].dtype), s);
}
void run(const Call& call) {
    simd::fp8_gemm(*kernels(call.args[kX].dtype), call);
}

}  // namespace

constinit const Variant avx512bf16_fp8_gemm = {"avx512bf16", nullptr, usable, scratch, run};

}  // namespace vks::cpu
