// fp8_gemm/1 on AVX512_BF16: bf16 or e4m3 activations. Bound: w's bytes when T is small, T*N*K multiply-adds when
// large.
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/gemm_avx512bf16.h"
#include "plugins/cpu/simd/gemm_ops.h"

namespace vks::cpu {
namespace {

enum { kX };

const simd::GemmKernels* kernels(uint32_t x_dtype) {
    return simd::avx512bf16_kernels(x_dtype, VKS_F8_E4M3);
}
bool usable(const Signature& s) {
    return kernels(s.args[kX].dtype) != nullptr;
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
