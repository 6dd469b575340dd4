// What mla_rope_append's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::mla_rope_append {

enum { kQ, kKv, kW, kTable, kSlot, kCache, kQPe };
inline constexpr ArgRule kRules[] = {{"q", kAct, 2},    {"kv", kAct, 2},    {"w", kPlainWeight, 1}, {"table", kF32, 2},
                                     {"slot", kI32, 1}, {"cache", kAct, 2}, {"q_pe", kAct, 2}};
inline constexpr uint32_t kOutputs = 2;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const auto& p = s.get<vks_mla_rope_append_params>();
    for (uint32_t size : {p.heads, p.nope, p.rope, p.lora}) c.require(size < 1u << 20, "params: a size too large");
    c.require(p.rope % 2 == 0, "rope: wanted an even number");
    const int64_t heads = p.heads;
    for (size_t arg : {kKv, kTable, kSlot, kQPe}) c.dim(arg, 0, s.args[kQ].dim[0]);
    c.dim(kQ, 1, heads * (p.nope + p.rope));
    c.dim(kKv, 1, p.lora + p.rope);
    c.dim(kW, 0, p.lora);
    c.dim(kTable, 1, p.rope);
    c.dim(kCache, 1, p.lora + p.rope);
    c.dim(kQPe, 1, heads * p.rope);
    return c.take();
}

}  // namespace vks::args::mla_rope_append
