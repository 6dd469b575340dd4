// Weights of a device with memory of its own under a cap, at run time: what it holds, by the planner's order; the rest
// is computed where it is.
#pragma once
#include <span>

#include "backend/plan/plan_set.h"
#include "frontend/io/checkpoint.h"

namespace vks {

// Sets what `cap` bytes leave no room for in the requests' preferences, so that plans made for them stay within it.
// `mtp`: so many modules run. Error: a node has no device then.
Status keep_within(const Checkpoint& checkpoint, Device& device, uint64_t cap, int64_t mtp,
                   std::span<PlanRequest> requests);

}  // namespace vks
