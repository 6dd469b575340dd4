// What rms_norm's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::rms_norm {

enum { kX, kW, kY };
inline constexpr ArgRule kRules[] = {{"x", kAct, 2}, {"w", kPlainWeight, 1}, {"y", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const Arg& x = s.args[kX];
    c.dim(kW, 0, x.dim[1]);
    c.dim(kY, 0, x.dim[0]);
    c.dim(kY, 1, x.dim[1]);
    return c.take();
}

}  // namespace vks::args::rms_norm
