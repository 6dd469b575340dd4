// What add_rms_norm's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::add_rms_norm {

enum { kX, kDelta, kW, kSum, kY };
inline constexpr ArgRule kRules[] = {
    {"x", kF32, 2}, {"delta", kAct, 2}, {"w", kPlainWeight, 1}, {"sum", kF32, 2}, {"y", kAct, 2}};
inline constexpr uint32_t kOutputs = 2;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const Arg& x = s.args[kX];
    c.dim(kW, 0, x.dim[1]);
    for (size_t arg : {kDelta, kSum, kY}) {
        c.dim(arg, 0, x.dim[0]);
        c.dim(arg, 1, x.dim[1]);
    }
    return c.take();
}

}  // namespace vks::args::add_rms_norm
