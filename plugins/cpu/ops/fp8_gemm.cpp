// fp8_gemm/1: y[t, n] = sum_b x_scale[t, b] * w_scale[n/128, b] * sum_{k in block b} x[t, k] * w[n, k], w in e4m3.
// x is either activations as they are (x_scale absent, 1) or their e4m3 image.
#include "plugins/cpu/check.h"
#include "plugins/cpu/matmul.h"
#include "plugins/cpu/ops/variants.h"

namespace vks::cpu {
namespace {

enum { kX, kXScale, kW, kWScale, kY };
constexpr ArgRule kRules[] = {
    {"x", kAct | kF8, 2}, {"x_scale", kF32, 2, true}, {"w", kF8, 2}, {"w_scale", kF32, 2}, {"y", kAct, 2}};

std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    c.row_scale(kX, kXScale);
    c.weight_scale(kW, kWScale);
    c.dim(kW, 1, s.args[kX].dim[1]);
    c.dim(kY, 0, s.args[kX].dim[0]);
    c.dim(kY, 1, s.args[kW].dim[0]);
    return c.take();
}

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

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&avx512bf16_fp8_gemm, &simd_fp8_gemm, &plain};

}  // namespace

extern constinit const Op op_fp8_gemm = {"fp8_gemm/1", 0, check, kVariants};

}  // namespace vks::cpu
