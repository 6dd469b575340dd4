// What embed's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::embed {

enum { kIds, kTable, kY };
inline constexpr ArgRule kRules[] = {{"ids", kI32, 1}, {"table", kPlainWeight, 2}, {"y", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    c.dim(kY, 0, s.args[kIds].dim[0]);
    c.dim(kY, 1, s.args[kTable].dim[1]);
    return c.take();
}

}  // namespace vks::args::embed
