// grouped_gemm/1 in f32 arithmetic by Highway. Bound: the bytes of the experts that have rows, each read once, until an
// expert has tens of rows; then multiply-adds.
#include "plugins/args/ops/grouped_gemm.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/gemm_ops.h"
#include "plugins/cpu/simd/gemm_simd.h"
#include "plugins/cpu/simd/highway.h"

namespace vks::cpu {
namespace {

uint64_t scratch(const Signature& s) {
    return simd::grouped_gemm_scratch(*simd::gemm_kernels(args::grouped_gemm::any_weight(s.args).dtype), s);
}
void run(const Call& call) {
    simd::grouped_gemm(*simd::gemm_kernels(args::grouped_gemm::any_weight(call.args).dtype), call);
}

}  // namespace

constinit const Variant simd_grouped_gemm = {nullptr, simd::target, simd::has_target, scratch, run};

}  // namespace vks::cpu
