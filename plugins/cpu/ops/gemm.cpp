// gemm/1: y[t, n] = sum_k x[t, k] * w[n, k], w in f32, bf16 or f16.
#include "plugins/cpu/check.h"
#include "plugins/cpu/matmul.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

enum { kX, kW, kY };
constexpr ArgRule kRules[] = {{"x", kAct, 2}, {"w", kPlainWeight, 2}, {"y", kAct, 2}};

std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    c.dim(kW, 1, s.args[kX].dim[1]);
    c.dim(kY, 0, s.args[kX].dim[0]);
    c.dim(kY, 1, s.args[kW].dim[0]);
    return c.take();
}

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

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&avx512bf16_gemm, &simd_gemm, &plain};

}  // namespace

extern constinit const Op op_gemm = {"gemm/1", 0, check, kVariants};

}  // namespace vks::cpu
