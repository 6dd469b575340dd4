// What mla_attention's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::mla_attention {

enum { kQLat, kQPe, kCache, kSpan, kO };
inline constexpr ArgRule kRules[] = {
    {"q_lat", kAct, 2}, {"q_pe", kAct, 2}, {"cache", kAct, 2}, {"span", kI32, 2}, {"o", kAct, 2}};
inline constexpr uint32_t kOutputs = 1;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const auto& p = s.get<vks_mla_attention_params>();
    for (uint32_t size : {p.heads, p.lora, p.rope}) c.require(size < 1u << 20, "params: a size too large");
    const int64_t heads = p.heads;
    for (size_t arg : {kQPe, kSpan, kO}) c.dim(arg, 0, s.args[kQLat].dim[0]);
    c.dim(kQLat, 1, heads * p.lora);
    c.dim(kQPe, 1, heads * p.rope);
    c.dim(kCache, 1, p.lora + p.rope);
    c.dim(kSpan, 1, 2);
    c.dim(kO, 1, heads * p.lora);
    return c.take();
}

}  // namespace vks::args::mla_attention
