// What fp8_gemm's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::fp8_gemm {

enum { kX, kXScale, kW, kWScale, kY };
inline constexpr ArgRule kRules[] = {
    {"x", kAct | kF8, 2}, {"x_scale", kF32, 2, true}, {"w", kF8, 2}, {"w_scale", kF32, 2}, {"y", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    c.row_scale(kX, kXScale);
    c.weight_scale(kW, kWScale);
    c.dim(kW, 1, s.args[kX].dim[1]);
    c.dim(kY, 0, s.args[kX].dim[0]);
    c.dim(kY, 1, s.args[kW].dim[0]);
    return c.take();
}

}  // namespace vks::args::fp8_gemm
