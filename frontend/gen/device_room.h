// Weights of a device with memory of its own under a cap, at run time: what it holds, by the planner's order, each
// expert by itself; the rest is computed where it is.
#pragma once
#include <span>
#include <vector>

#include "backend/plan/plan_set.h"
#include "frontend/model/pieces.h"

namespace vks {

// Sets what `cap` bytes leave no room for in the requests' preferences, so that plans made for them stay within it, and
// splits the experts of a layer in their graphs where only some have room. `pieces`: the model's. Gives the bytes of
// `cap` that are left for slots (exec/expert_slots.h), where `slots` says that some should be. Error: a node has no
// device then.
Result<uint64_t> keep_within(const std::vector<ModelPiece>& pieces, Device& device, uint64_t cap, bool slots,
                             std::span<PlanRequest> requests);

}  // namespace vks
