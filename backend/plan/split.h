// Before the planning passes: a layer's experts that have different homes become two runs of the same operators, one
// over those that a device holds, one over the others, whose results are added. Knows operators, no model.
#pragma once
#include <memory>
#include <string>
#include <unordered_set>

#include "backend/graph/graph.h"

namespace vks {

// `graph` with what computes on experts split where some of them, not all, have a weight that is among `away`, by name.
// Values keep their ids; what is new comes after them. Rows of experts that a run lacks are zeros in what it gives, so
// that a sum of both has the bits of the one that had a row. `graph` itself where nothing is to be split.
std::shared_ptr<const Graph> split_experts(const std::shared_ptr<const Graph>& graph,
                                           const std::unordered_set<std::string>& away);

}  // namespace vks
