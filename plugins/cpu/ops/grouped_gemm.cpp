// grouped_gemm/1: one matrix product per expert over its list of rows:
//   y[r] = x[row[r]] w_e^T  for r in [offset[e], offset[e+1]);  row absent: x[r].  Rows past offset[E] aren't written.
#include "plugins/args/ops/grouped_gemm.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/matmul.h"
#include "plugins/cpu/ops/variants.h"

#include <algorithm>

namespace vks::cpu {
namespace {

using namespace args::grouped_gemm;

void run(const Call& call) {
    const size_t experts = call.get<vks_grouped_gemm_params>().experts;
    const Arg& y = call.args[kWeights + 2 * experts];
    const int32_t* offset = call.args[kOffset].as<int32_t>();
    for (size_t e = 0; e < experts; ++e) {
        const int64_t first = std::clamp<int64_t>(offset[e], 0, y.rows());
        const int64_t last = std::clamp<int64_t>(offset[e + 1], first, y.rows());
        if (first == last) continue;
        if (!call.args[kWeights + 2 * e]) {
            clear_rows(y, first, last);
            continue;
        }
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
