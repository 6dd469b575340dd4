// What act_quant's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::act_quant {

enum { kX, kQ, kScale };
inline constexpr ArgRule kRules[] = {{"x", kAct, 2}, {"q", kF8, 2}, {"scale", kF32, 2}};
inline constexpr uint32_t kOutputs = 2;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    c.dim(kQ, 0, s.args[kX].dim[0]);
    c.dim(kQ, 1, s.args[kX].dim[1]);
    c.row_scale(kQ, kScale);
    return c.take();
}

}  // namespace vks::args::act_quant
