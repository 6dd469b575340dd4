#include "backend/ops/rule.h"

namespace vks {

// idx i32 [T,K] -> offset i32 [count+1], row i32 [T*K], pos i32 [T,K]
extern const OpRule rule_moe_dispatch = {
    "moe_dispatch/1",
    1,
    1,
    sizeof(vks_moe_dispatch_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        const Value* idx = n.in[0];
        if (!idx || idx->dtype != VKS_I32 || idx->shape.size() != 2) return shape_error("idx", "i32 [T, K]", idx);
        const Dim tokens = idx->shape[0];
        const Dim pairs = {tokens.count * idx->shape[1].count, tokens.symbol};
        return std::vector<Dims>{{fixed(int64_t(n.get<vks_moe_dispatch_params>().count) + 1)}, {pairs}, idx->shape};
    },
    nullptr,
    nullptr,
};

}  // namespace vks
