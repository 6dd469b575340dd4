// grouped_gemm/1: one matrix product per expert over its list of rows:
//   y[r] = x[row[r]] w_e^T  for r in [offset[e], offset[e+1]);  row absent: x[r].  Rows past offset[E] aren't written.
#include "plugins/args/ops/grouped_gemm.h"
#include "plugins/cpu/ahead.h"
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

// Of the experts with rows, one after the other, where a thread's part begins.
Range weights(const Call& call, int64_t thread, int64_t threads, int64_t piece) {
    if (piece > 0) return {};
    const auto experts = static_cast<int64_t>(call.get<vks_grouped_gemm_params>().experts);
    const int32_t* offset = call.args[kOffset].as<int32_t>();
    const auto has_rows = [&](int64_t e) {
        return offset[e + 1] > offset[e] && call.args[static_cast<size_t>(kWeights + 2 * e)];
    };
    int64_t count = 0;
    for (int64_t e = 0; e < experts; ++e) count += has_rows(e) ? 1 : 0;
    int64_t skipped = count * thread / threads;
    for (int64_t e = 0; e < experts; ++e) {
        if (!has_rows(e) || skipped-- > 0) continue;
        const Arg& w = call.args[static_cast<size_t>(kWeights + 2 * e)];
        const int64_t rows = w.dim[0];
        if (rows == 0) return {};
        const int64_t begin = count * rows * thread / threads % rows;
        return part_of(w, begin, rows - begin, 0, 1);
    }
    return {};
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&avx512bf16_grouped_gemm, &simd_grouped_gemm, &plain};

}  // namespace

extern constinit const Op op_grouped_gemm = {
    "grouped_gemm/1", sizeof(vks_grouped_gemm_params), check, kOutputs, kVariants, weights, true};

}  // namespace vks::cpu
