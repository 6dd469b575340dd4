#include "backend/exec/slot_cache.h"

#include <algorithm>

namespace vks {

std::optional<size_t> SlotCache::use(Key key) {
    const uint64_t uses = ++uses_[key];
    const auto found = at_.find(key);
    if (found == at_.end() || !slots_[found->second].there) return std::nullopt;
    Slot& slot = slots_[found->second];
    slot.turn = turn_;
    slot.rank = age_ + static_cast<double>(uses);
    return found->second;
}

std::optional<size_t> SlotCache::make_room(Key key, bool at_once) {
    if (has(key)) return std::nullopt;
    const double worth = age_ + static_cast<double>(uses_[key]);
    const auto may_go = [&](const Slot& slot) {
        if (slot.key == nullptr) return true;
        return slot.there && slot.turn < (at_once ? turn_ : step_) && (at_once || slot.rank < worth);
    };
    std::optional<size_t> least;
    for (size_t i = 0; i < slots_.size(); ++i)
        if (may_go(slots_[i]) && (!least || slots_[i].rank < slots_[*least].rank)) least = i;
    if (!least) return std::nullopt;
    Slot& slot = slots_[*least];
    if (slot.key != nullptr) {
        at_.erase(slot.key);
        age_ = std::max(age_, slot.rank);
    }
    slot = {.key = key, .there = false, .turn = turn_, .rank = worth};
    at_[key] = *least;
    return least;
}

void SlotCache::brought(size_t slot, bool done) {
    slots_[slot].there = done;
    if (done) return;
    at_.erase(slots_[slot].key);
    slots_[slot] = {};
}

}  // namespace vks
