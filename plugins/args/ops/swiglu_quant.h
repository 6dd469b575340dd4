// What swiglu_quant's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::swiglu_quant {

enum { kGate, kUp, kY, kScale };
inline constexpr ArgRule kRules[] = {
    {"gate", kAct, 2}, {"up", kAct, 2}, {"y", kAct | kF8, 2}, {"scale", kF32, 2, true}};
inline constexpr uint32_t kOutputs = 2;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    for (size_t arg : {kUp, kY}) {
        c.dim(arg, 0, s.args[kGate].dim[0]);
        c.dim(arg, 1, s.args[kGate].dim[1]);
    }
    c.row_scale(kY, kScale);
    return c.take();
}

}  // namespace vks::args::swiglu_quant
