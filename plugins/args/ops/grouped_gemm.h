// What grouped_gemm's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::grouped_gemm {

enum { kX, kXScale, kOffset, kRow, kWeights };  // then w, w_scale of each expert, then y
inline constexpr ArgRule kRules[] = {
    {"x", kAct | kF8, 2}, {"x_scale", kF32, 2, true}, {"offset", kI32, 1}, {"row", kI32, 1, true}};
inline constexpr uint32_t kOutputs = 1;  // the last ones
inline constexpr size_t kMaxExperts = 1024;
// No operator has more.
inline constexpr size_t kMaxArgs = kWeights + 2 * kMaxExperts + 1;

// Of the weights, one that is there: all of them have its dtype and shape. The first one's place when none is.
inline const Arg& any_weight(std::span<const Arg> args) {
    for (size_t w = kWeights; w + 2 < args.size(); w += 2)
        if (args[w]) return args[w];
    return args[kWeights];
}

inline std::string check(const Signature& s) {
    Checker c(s, kRules, false);
    const size_t experts = s.get<vks_grouped_gemm_params>().experts, y = kWeights + 2 * experts;
    c.require(experts > 0 && s.args.size() == y + 1, "arguments: wanted w and w_scale for every expert, then y");
    if (!c.ok()) return c.take();
    c.row_scale(kX, kXScale);
    c.dim(kOffset, 0, static_cast<int64_t>(experts) + 1);
    c.arg(y, {"y", kAct, 2});
    const Arg& w0 = any_weight(s.args);
    c.require(bool(w0), "w: wanted one expert at least");
    for (size_t w = kWeights; w < y; w += 2) {
        if (!s.args[w] && !s.args[w + 1]) continue;
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

}  // namespace vks::args::grouped_gemm
