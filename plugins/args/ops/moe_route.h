// What moe_route's arguments must be: abi/ops.h in code.
#pragma once
#include "plugins/args/check.h"

namespace vks::args::moe_route {

enum { kLogits, kBias, kIdx, kWeight };
inline constexpr ArgRule kRules[] = {{"logits", kF32, 2}, {"bias", kF32, 1}, {"idx", kI32, 2}, {"weight", kF32, 2}};
inline constexpr uint32_t kOutputs = 2;  // the last ones

inline std::string check(const Signature& s) {
    Checker c(s, kRules);
    if (!c.ok()) return c.take();
    const auto& p = s.get<vks_moe_route_params>();
    const int64_t experts = s.args[kLogits].dim[1];
    c.dim(kBias, 0, experts);
    c.require(p.groups > 0 && experts % p.groups == 0, "groups: wanted a divisor of the number of experts");
    if (!c.ok()) return c.take();
    c.require(p.groups_kept > 0 && p.groups_kept <= p.groups, "groups_kept: wanted 1 to groups");
    c.require(p.top_k <= p.groups_kept * (experts / p.groups), "top_k: wanted at most the experts of the kept groups");
    for (size_t arg : {kIdx, kWeight}) {
        c.dim(arg, 0, s.args[kLogits].dim[0]);
        c.dim(arg, 1, p.top_k);
    }
    return c.take();
}

}  // namespace vks::args::moe_route
