// Weights of devices with memory of their own under caps, at run time: what each holds, by the planner's order, each
// expert by itself; the rest is computed where it is.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "backend/plan/plan_set.h"
#include "frontend/model/pieces.h"

namespace vks {

struct MemoryCap {
    Device* device = nullptr;
    uint64_t bytes = 0;
};

// What each of several memories of so many bytes is to have of the model, which exceeds them: layers in their order, as
// its part of all the bytes goes. `pieces` for each of them, in which those of the others are never read.
std::vector<std::vector<ModelPiece>> share_layers(const std::vector<ModelPiece>& pieces,
                                                  std::span<const uint64_t> memories);

// Sets what the caps leave no room for in the requests' preferences, so that plans made for them stay within them, and
// splits the experts of a layer in their graphs where only some have room. Devices that serve any operator have a part
// of the layers each. `pieces`: the model's. Gives a device and the bytes of its cap that are left for slots
// (exec/expert_slots.h), where `slots` says that some should be: the first that has them. Error: a node has no device
// then.
Result<std::pair<Device*, uint64_t>> keep_within(const std::vector<ModelPiece>& pieces, std::vector<MemoryCap> caps,
                                                 bool slots, std::span<PlanRequest> requests);

}  // namespace vks
