// What mla_expanded's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::mla_expanded {

enum { kQ, kQPe, kCache, kW, kWScale, kSpan, kO };
inline constexpr ArgRule kRules[] = {{"q", kAct, 2},       {"q_pe", kAct, 2},          {"cache", kAct, 2},
                                     {"w", kAnyWeight, 2}, {"w_scale", kF32, 2, true}, {"span", kI32, 2},
                                     {"o", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const auto& p = s.get<vks_mla_expanded_params>();
    for (uint32_t size : {p.heads, p.nope, p.rope, p.v, p.lora}) c.require(size < 1u << 20, "params: a size too large");
    const bool one = s.args[kQPe].dtype == s.args[kQ].dtype && s.args[kCache].dtype == s.args[kQ].dtype;
    c.require(one, "q, q_pe and cache: wanted one dtype");
    const int64_t heads = p.heads;
    for (size_t arg : {kQPe, kSpan, kO}) c.dim(arg, 0, s.args[kQ].dim[0]);
    c.dim(kQ, 1, heads * (p.nope + p.rope));
    c.dim(kQPe, 1, heads * p.rope);
    c.dim(kCache, 1, p.lora + p.rope);
    c.dim(kW, 0, heads * (p.nope + p.v));
    c.dim(kW, 1, p.lora);
    c.weight_scale(kW, kWScale);
    c.dim(kSpan, 1, 2);
    c.dim(kO, 1, heads * p.v);
    return c.take();
}

}  // namespace vks::args::mla_expanded
