// Where grouped_gemm has its arguments, for those who look into them: x, x_scale, offset, row, then a weight and a
// scale for each expert (abi/ops.h).
#pragma once
#include "backend/ops/rule.h"

namespace vks::experts {

constexpr size_t kOffset = 2, kFirstWeight = 4;

// Whether a node reads the weights of the experts that have rows.
inline bool has(const Node& node) {
    const OpRule* rule = find_rule(node.op);
    return rule && rule->weights == WeightUse::kByOffset;
}
inline size_t count(const Node& node) {
    return (node.inputs - kFirstWeight) / 2;
}

}  // namespace vks::experts
