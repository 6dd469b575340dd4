// gemm/1 in f32 arithmetic by Highway. Bound: w's bytes when T is small, T*N*K multiply-adds when it is large.
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/gemm_ops.h"
#include "plugins/cpu/simd/gemm_simd.h"
#include "plugins/cpu/simd/highway.h"

namespace vks::cpu {
namespace {

enum { kX, kW, kY };

uint64_t scratch(const Signature& s) {
    return simd::gemm_op_scratch(*simd::gemm_kernels(s.args[kW].dtype), s);
}
void run(const Call& call) {
    simd::gemm_op(*simd::gemm_kernels(call.args[kW].dtype), call);
}

}  // namespace

constinit const Variant simd_gemm = {nullptr, simd::target, simd::has_target, scratch, run};

}  // namespace vks::cpu
