#include "backend/ops/rule.h"

namespace vks {

// x f32 [R,V] -> value f32 [R,k], index i32 [R,k]
extern const OpRule rule_topk = {
    "topk/1",
    1,
    1,
    sizeof(vks_topk_params),
    [](const NodeView& n) -> Result<std::vector<Dims>> {
        if (!is_act(n.in[0], 2) || n.in[0]->dtype != VKS_F32) return shape_error("x", "f32 [R, V]", n.in[0]);
        const int64_t k = n.get<vks_topk_params>().k;
        if (k < 1 || k > n.in[0]->shape[1].count)
            return Error{Code::kBadInput, fmt::format("k: wanted 1 to {}, found {}", n.in[0]->shape[1].count, k)};
        const Dims best = {n.in[0]->shape[0], fixed(k)};
        return std::vector<Dims>{best, best};
    },
    [](const NodeView& n, const Bindings& b) { return elements(*n.in[0], b); },
    nullptr,
};

}  // namespace vks
