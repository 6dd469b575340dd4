// gemm/1 on AVX512_BF16: bf16 activations and weights. Bound: w's bytes when T is small, T*N*K multiply-adds when
// large.
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/gemm_avx512bf16.h"
#include "plugins/cpu/simd/gemm_ops.h"

namespace vks::cpu {
namespace {

enum { kX, kW, kY };

bool usable(const Signature& s) {
    return simd::avx512bf16_kernels(s.args[kX].dtype, s.args[kW].dtype) != nullptr;
}
uint64_t scratch(const Signature& s) {
    return simd::gemm_op_scratch(*simd::avx512bf16_kernels(s.args[kX].dtype, s.args[kW].dtype), s);
}
void run(const Call& call) {
    simd::gemm_op(*simd::avx512bf16_kernels(call.args[kX].dtype, call.args[kW].dtype), call);
}

}  // namespace

constinit const Variant avx512bf16_gemm = {"avx512bf16", nullptr, usable, scratch, run};

}  // namespace vks::cpu
