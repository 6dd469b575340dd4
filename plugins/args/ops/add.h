// What add's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::add {

enum { kA, kB, kY };
inline constexpr ArgRule kRules[] = {{"a", kAct, 2}, {"b", kAct, 2}, {"y", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    for (size_t arg : {kB, kY}) {
        c.dim(arg, 0, s.args[kA].dim[0]);
        c.dim(arg, 1, s.args[kA].dim[1]);
    }
    return c.take();
}

}  // namespace vks::args::add
