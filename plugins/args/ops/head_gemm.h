// What head_gemm's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::head_gemm {

enum { kX, kW, kWScale, kY };
inline constexpr ArgRule kRules[] = {{"x", kAct, 2}, {"w", kAnyWeight, 2}, {"w_scale", kF32, 2, true}, {"y", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const auto& p = s.get<vks_head_gemm_params>();
    c.require(p.mode <= VKS_HEAD_EXPAND, "mode: wanted ABSORB or EXPAND");
    for (uint32_t size : {p.heads, p.nope, p.rope, p.v, p.lora}) c.require(size < 1u << 20, "params: a size too large");
    const int64_t heads = p.heads, lora = heads * p.lora;
    c.dim(kW, 0, heads * (p.nope + p.v));
    c.dim(kW, 1, p.lora);
    c.weight_scale(kW, kWScale);
    c.dim(kX, 1, p.mode == VKS_HEAD_ABSORB ? heads * (p.nope + p.rope) : lora);
    c.dim(kY, 0, s.args[kX].dim[0]);
    c.dim(kY, 1, p.mode == VKS_HEAD_ABSORB ? lora : heads * p.v);
    return c.take();
}

}  // namespace vks::args::head_gemm
