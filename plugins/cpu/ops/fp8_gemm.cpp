// fp8_gemm/1: y[t, n] = sum_b x_scale[t, b] * w_scale[n/128, b] * sum_{k in block b} x[t, k] * w[n, k], w in e4m3.
// x is either activations as they are (x_scale absent, 1) or their e4m3 image.
#include "plugins/args/ops/fp8_gemm.h"
#include "plugins/cpu/ahead.h"
#include "plugins/cpu/matmul.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::fp8_gemm;

void run(const Call& call) {
    const auto a = call.args;
    multiply(*call.pool, {.x = a[kX],
                          .x_scale = a[kXScale],
                          .w = a[kW],
                          .w_scale = a[kWScale],
                          .y = a[kY],
                          .first = 0,
                          .last = a[kX].rows()});
}

// A thread's rows, as all of them are shared out.
Range weights(const Call& call, int64_t thread, int64_t threads, int64_t piece) {
    const Arg& w = call.args[kW];
    return piece == 0 ? part_of(w, 0, w.dim[0], thread, threads) : Range{};
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&avx512bf16_fp8_gemm, &simd_fp8_gemm, &plain};

}  // namespace

extern constinit const Op op_fp8_gemm = {"fp8_gemm/1", 0, check, kOutputs, kVariants, weights};

}  // namespace vks::cpu
