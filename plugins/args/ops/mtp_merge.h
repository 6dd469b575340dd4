// What mtp_merge's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::mtp_merge {

enum { kE, kH, kWe, kWh, kY };
inline constexpr ArgRule kRules[] = {
    {"e", kAct, 2}, {"h", kAct, 2}, {"we", kPlainWeight, 1}, {"wh", kPlainWeight, 1}, {"y", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const Arg& e = s.args[kE];
    c.dim(kH, 0, e.dim[0]);
    c.dim(kH, 1, e.dim[1]);
    c.dim(kWe, 0, e.dim[1]);
    c.dim(kWh, 0, e.dim[1]);
    c.dim(kY, 0, e.dim[0]);
    c.dim(kY, 1, 2 * e.dim[1]);
    return c.take();
}

}  // namespace vks::args::mtp_merge
