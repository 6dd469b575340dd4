// What moe_combine's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::moe_combine {

enum { kY, kPos, kWeight, kBase, kOut };
inline constexpr ArgRule kRules[] = {
    {"y", kAct, 2}, {"pos", kI32, 2}, {"weight", kF32, 2}, {"base", kAct, 2, true}, {"out", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const Arg &y = s.args[kY], &pos = s.args[kPos];
    c.dim(kWeight, 0, pos.dim[0]);
    c.dim(kWeight, 1, pos.dim[1]);
    for (size_t arg : {kBase, kOut}) {
        c.dim(arg, 0, pos.dim[0]);
        c.dim(arg, 1, y.dim[1]);
    }
    return c.take();
}

}  // namespace vks::args::moe_combine
