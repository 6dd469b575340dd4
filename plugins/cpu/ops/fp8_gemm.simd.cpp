// fp8_gemm/1 in f32 arithmetic by Highway. Bound: w's bytes when T is small, T*N*K multiply-adds when it is large.
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/gemm_ops.h"
#include "plugins/cpu/simd/gemm_simd.h"
#include "plugins/cpu/simd/highway.h"

namespace vks::cpu {
namespace {

const simd::GemmKernels* kernels() {
    return simd::gemm_kernels(VKS_F8_E4M3);
}
uint64_t scratch(const Signature& s) {
    return simd::fp8_gemm_scratch(*kernels(), s);
}
void run(const Call& call) {
    simd::fp8_gemm(*kernels(), call);
}

}  // namespace

constinit const Variant simd_fp8_gemm = {nullptr, simd::target, simd::has_target, scratch, run};

}  // namespace vks::cpu
