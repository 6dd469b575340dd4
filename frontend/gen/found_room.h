// Memory of a device that has less of its own than a model needs, where the user set no cap: it is found out once, from
// what the device says is free or from what it refuses, and plans are made as under a cap of as much.
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "backend/plan/plan_set.h"
#include "frontend/io/checkpoint.h"

namespace vks {

// Not thread-safe: while plans are being made it is the maker's.
class FoundRoom {
public:
    // `mtp`: how many modules run. `slots`: some of the room may be for experts' slots.
    FoundRoom(std::shared_ptr<const Checkpoint> checkpoint, int64_t mtp, bool slots)
        : checkpoint_(std::move(checkpoint)), mtp_(mtp), slots_(slots) {}

    // Before plans are made: leaves out of `requests` what the device is known to have no room for. Only one device
    // with memory of its own is served: where there are several, the next gets what one has no room for. `in_force`:
    // plans that stay until then; may be null.
    void keep(std::vector<PlanRequest>& requests, const PlanSet* in_force);
    // Whether replan() may know better after a shortage. Beside plans in force a device holds less than it could.
    bool replans() const { return device_ != nullptr && !in_use_; }
    // A device refused memory when plans for those requests were made: what has room.
    Result<std::vector<PlanRequest>> replan(const Shortage& shortage);

    // What the last requests came to: the device that has too little, if any, and the bytes of it for slots.
    std::pair<Device*, uint64_t> slots() const { return {limited_ ? device_ : nullptr, room_}; }

private:
    Result<std::vector<PlanRequest>> within_cap();
    bool imports() const;

    std::shared_ptr<const Checkpoint> checkpoint_;
    int64_t mtp_ = 0;
    bool slots_ = false;
    std::map<const Device*, uint64_t> caps_;
    // Of the last requests.
    std::vector<PlanRequest> whole_;
    Device* device_ = nullptr;
    bool in_use_ = false, limited_ = false;
    int rounds_ = 0;
    uint64_t room_ = 0;
};

}  // namespace vks
