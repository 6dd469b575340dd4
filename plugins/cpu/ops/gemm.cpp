// gemm/1: y[t, n] = sum_k x[t, k] * w[n, k], w in f32, bf16 or f16.
#include "plugins/args/ops/gemm.h"
#include "plugins/cpu/ahead.h"
#include "plugins/cpu/matmul.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

using namespace args::gemm;

void run(const Call& call) {
    const Arg& x = call.args[kX];
    const Arg absent;
    multiply(*call.pool, {.x = x,
                          .x_scale = absent,
                          .w = call.args[kW],
                          .w_scale = absent,
                          .y = call.args[kY],
                          .first = 0,
                          .last = x.rows()});
}

// A thread's rows, as all of them are shared out.
Range weights(const Call& call, int64_t thread, int64_t threads, int64_t piece) {
    const Arg& w = call.args[kW];
    return piece == 0 ? part_of(w, 0, w.dim[0], thread, threads) : Range{};
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&avx512bf16_gemm, &simd_gemm, &plain};

}  // namespace

extern constinit const Op op_gemm = {"gemm/1", 0, check, kOutputs, kVariants, weights};

}  // namespace vks::cpu
