// What plans would take of a device's memory, before they are made.
#pragma once
#include <cstdint>
#include <span>

#include "backend/plan/plan_set.h"

namespace vks {

struct MemoryNeed {
    uint64_t weights = 0, states = 0, activations = 0;
    uint64_t total() const { return weights + states + activations; }
};

// Of plans for `requests`, made together, on `device`; should a kernel fail to prepare, it may be otherwise.
// Error: a node has no device.
Result<MemoryNeed> memory_need(std::span<const PlanRequest> requests, Device& device);

}  // namespace vks
