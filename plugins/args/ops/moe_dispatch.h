// What moe_dispatch's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::moe_dispatch {

enum { kIdx, kOffset, kRow, kPos };
inline constexpr ArgRule kRules[] = {{"idx", kI32, 2}, {"offset", kI32, 1}, {"row", kI32, 1}, {"pos", kI32, 2}};
inline constexpr uint32_t kOutputs = 3;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const Arg& idx = s.args[kIdx];
    c.require(idx.dim[0] * idx.dim[1] <= INT32_MAX, "idx: wanted at most 2^31-1 pairs");
    c.dim(kOffset, 0, int64_t{s.get<vks_moe_dispatch_params>().count} + 1);
    c.dim(kRow, 0, idx.dim[0] * idx.dim[1]);
    c.dim(kPos, 0, idx.dim[0]);
    c.dim(kPos, 1, idx.dim[1]);
    return c.take();
}

}  // namespace vks::args::moe_dispatch
