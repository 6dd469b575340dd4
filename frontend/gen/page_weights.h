// Weights under a memory cap at run time: what every token needs stays, experts share the rest.
#pragma once
#include <cstdint>
#include <memory>
#include <set>

#include "backend/exec/paging.h"
#include "frontend/io/checkpoint.h"

namespace vks {

// For a device that computes on the mapped files and reads `weights` of them, which may take `budget` bytes: what every
// token needs is pinned as far as the planner finds room for it, experts share the rest. Copies that the checkpoint
// made are no concern of it. Null if all that is read fits. `mtp`: so many modules run.
std::unique_ptr<Paging> page_weights(const Checkpoint& checkpoint, Device& device,
                                     const std::set<const std::byte*>& weights, uint64_t budget, int64_t mtp);

}  // namespace vks
