// What topk's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::topk {

enum { kX, kValue, kIndex };
inline constexpr ArgRule kRules[] = {{"x", kF32, 2}, {"value", kF32, 2}, {"index", kI32, 2}};
inline constexpr uint32_t kOutputs = 2;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const Arg& x = s.args[kX];
    const int64_t k = s.get<vks_topk_params>().k;
    c.require(k <= x.dim[1] && x.dim[1] <= INT32_MAX, "k: wanted at most the length of a row");
    for (size_t arg : {kValue, kIndex}) {
        c.dim(arg, 0, x.dim[0]);
        c.dim(arg, 1, k);
    }
    return c.take();
}

}  // namespace vks::args::topk
