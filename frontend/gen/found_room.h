// Memory of devices that have less of their own than a model needs, where the user set no cap: it is found out once,
// from what they say is free or from what one refuses, and plans are made as under caps of as much.
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

    // Before plans are made: leaves out of `requests` what the devices are known to have no room for. Several devices
    // that have room together, or don't say how much, are filled one after the other: the next gets what one refuses.
    // `in_force`: plans that stay until then; may be null.
    void keep(std::vector<PlanRequest>& requests, const PlanSet* in_force);
    // Whether replan() may know better after a shortage. Beside plans in force a device holds less than it could.
    bool replans() const { return !in_use_ && (devices_.size() == 1 || limited_); }
    // A device refused memory when plans for those requests were made: what has room.
    Result<std::vector<PlanRequest>> replan(const Shortage& shortage);

    // What the last requests came to: whether some device has too little; a device and the bytes of it for slots.
    bool limited() const { return limited_; }
    std::pair<Device*, uint64_t> slots() const { return slots_of_; }

private:
    bool find_caps();
    Result<std::vector<PlanRequest>> within_caps();
    bool imports(Device& device) const;

    std::shared_ptr<const Checkpoint> checkpoint_;
    int64_t mtp_ = 0;
    bool slots_ = false;
    std::map<const Device*, uint64_t> caps_;
    // Of the last requests.
    std::vector<PlanRequest> whole_;
    std::vector<Device*> devices_;  // with memory of their own
    bool in_use_ = false, limited_ = false;
    int rounds_ = 0;
    std::pair<Device*, uint64_t> slots_of_;
};

}  // namespace vks
