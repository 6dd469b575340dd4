// grouped_gemm/1: one matrix product per expert over its list of rows:
//   y[r] = x[row[r]] w_e^T  for r in [offset[e], offset[e+1]);  row absent: x[r].  Rows past offset[E] aren't written.
#include "plugins/cpu/check.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/matmul.h"
#include "plugins/cpu/ops/variants.h"

#include <algorithm>

namespace vks::cpu {
namespace {

enum { kX, kXScale, kOffset, kRow, kWeights };  // then w, w_scale of each expert, then y
constexpr ArgRule kRules[] = {
    {"x", kAct | kF8, 2}, {"x_scale", kF32, 2, true}, {"offset", kI32, 1}, {"row", kI32, 1, true}};

std::string check(const Signature& s) {
    Checker c(s, kRules, false);
    const size_t experts = s.get<vks_grouped_gemm_params>().experts, y = kWeights + 2 * experts;
    c.require(experts > 0 && s.args.size() == y + 1, "arguments: wanted w and w_scale for every expert, then y");
    if (!c.ok()) return c.take();
    c.row_scale(kX, kXScale);
    c.dim(kOffset, 0, static_cast<int64_t>(experts) + 1);
    c.arg(y, {"y", kAct, 2});
    const Arg& w0 = s.args[kWeights];
    for (size_t w = kWeights; w < y; w += 2) {
        c.arg(w, {"w", kAnyWeight, 2});
        c.arg(w + 1, {"w_scale", kF32, 2, true});
        c.require(s.args[w].dtype == w0.dtype, "w: wanted one dtype for all experts");
        c.dim(w, 0, w0.dim[0]);
        c.dim(w, 1, s.args[kX].dim[1]);
        c.weight_scale(w, w + 1);
    }
    c.dim(y, 1, w0.dim[0]);
    if (s.args[kRow]) {
        c.dim(kRow, 0, s.args[y].dim[0]);
    } else {
        c.dim(y, 0, s.args[kX].dim[0]);
    }
    return c.take();
}

void run(const Call& call) {
    const size_t experts = call.get<vks_grouped_gemm_params>().experts;
    const Arg& y = call.args[kWeights + 2 * experts];
    const int32_t* offset = call.args[kOffset].as<int32_t>();
    for (size_t e = 0; e < experts; ++e) {
        const int64_t first = std::clamp<int64_t>(offset[e], 0, y.rows());
        const int64_t last = std::clamp<int64_t>(offset[e + 1], first, y.rows());
        if (first == last) continue;
        multiply(*call.pool, {.x = call.args[kX],
                              .x_scale = call.args[kXScale],
                              .w = call.args[kWeights + 2 * e],
                              .w_scale = call.args[kWeights + 2 * e + 1],
                              .y = y,
                              .row = call.args[kRow] ? call.args[kRow].as<int32_t>() : nullptr,
                              .first = first,
                              .last = last});
    }
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&avx512bf16_grouped_gemm, &simd_grouped_gemm, &plain};

}  // namespace

extern constinit const Op op_grouped_gemm = {"grouped_gemm/1", sizeof(vks_grouped_gemm_params), check, kVariants};

}  // namespace vks::cpu
