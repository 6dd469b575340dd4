// grouped_gemm/1 on AVX512_BF16: bf16 or e4m3 activations, weights in bf16 or e4m3. Bound: the bytes of the experts
// that have rows, each read once, until an expert has tens of rows; then multiply-adds.
#include "plugins/args/ops/grouped_gemm.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/gemm_avx512bf16.h"
#include "plugins/cpu/simd/gemm_ops.h"

namespace vks::cpu {
namespace {

using args::grouped_gemm::kX;

const simd::GemmKernels* kernels(std::span<const Arg> args) {
    return simd::avx512bf16_kernels(args[kX].dtype, args::grouped_gemm::any_weight(args).dtype);
}
// Codes are also what f32 activations are quantised to, whose results keep their bits however many rows there are.
bool usable(const Signature& s) {
    return (s.args[kX].dtype == VKS_BF16 || s.args.back().dtype == VKS_BF16) && kernels(s.args) != nullptr;
}
uint64_t scratch(const Signature& s) {
    return simd::grouped_gemm_scratch(*kernels(s.args), s);
}
void run(const Call& call) {
    simd::grouped_gemm(*kernels(call.args), call);
}

}  // namespace

constinit const Variant avx512bf16_grouped_gemm = {"avx512bf16", nullptr, usable, scratch, run};

}  // namespace vks::cpu
