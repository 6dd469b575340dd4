#include "frontend/gen/found_room.h"

#include <algorithm>
#include <set>

#include "backend/plan/need.h"
#include "frontend/gen/device_room.h"
#include "frontend/gen/expert_statistics.h"

namespace vks {
namespace {

// Less than there is: for the driver, blocks that aren't full, and activations of plans that are being exchanged.
uint64_t with_reserve(uint64_t bytes) {
    return bytes / 16 * 15;
}

// The one with memory of its own and no cap; null: there are none or several.
Device* only_device(const std::vector<PlanRequest>& requests) {
    std::set<Device*> found;
    for (const PlanRequest& request : requests)
        for (Device* device : request.preference.order)
            if (!device->has(VKS_DEVICE_HOST_MEMORY)) found.insert(device);
    if (found.size() != 1 || requests.front().preference.away.contains(*found.begin())) return nullptr;
    return *found.begin();
}

}  // namespace

void FoundRoom::keep(std::vector<PlanRequest>& requests, const PlanSet* in_force) {
    whole_ = requests;
    device_ = only_device(requests);
    in_use_ = device_ != nullptr && in_force != nullptr && in_force->uses(*device_);
    limited_ = false;
    rounds_ = 0;
    room_ = 0;
    if (device_ == nullptr) return;
    if (!caps_.contains(device_)) {
        const vks_info& info = device_->info();
        if (in_use_ || info.bytes_total == 0 || info.bytes_free == 0 || imports()) return;
        const auto need = memory_need(whole_, *device_);
        if (!need || need->total() <= info.bytes_free) return;
        caps_[device_] = with_reserve(info.bytes_free);
    }
    // Where no other device would take the rest, this one is asked for all of it, and says what it lacks.
    if (auto within = within_cap()) requests = *std::move(within);
}

Result<std::vector<PlanRequest>> FoundRoom::replan(const Shortage& shortage) {
    constexpr int kRounds = 4;
    if (!replans() || shortage.device != device_ || rounds_++ == kRounds)
        return Error{Code::kNoBackend, "plans: no room is known for them"};
    uint64_t& cap = caps_.try_emplace(device_, shortage.held).first->second;
    cap = with_reserve(std::min(cap, shortage.held));
    return within_cap();
}

Result<std::vector<PlanRequest>> FoundRoom::within_cap() {
    std::vector<ModelPiece> pieces = checkpoint_pieces(*checkpoint_, mtp_);
    ExpertStatistics(*checkpoint_, mtp_).weigh(pieces);
    std::vector<PlanRequest> requests = whole_;
    VKS_ASSIGN(room_, keep_within(pieces, *device_, caps_.at(device_), slots_, requests));
    limited_ = true;
    return requests;
}

// Whether weights take nothing of its memory: the largest is tried.
bool FoundRoom::imports() const {
    const Value* largest = nullptr;
    const Graph* graph = nullptr;
    for (const PlanRequest& request : whole_) {
        if (!request.graph) continue;
        for (const Value& value : request.graph->values) {
            if (value.kind != Kind::kWeight) continue;
            if (largest != nullptr && request.graph->max_bytes(value) <= graph->max_bytes(*largest)) continue;
            largest = &value;
            graph = request.graph.get();
        }
    }
    if (largest == nullptr) return false;
    const auto bytes = static_cast<uint64_t>(graph->max_bytes(*largest));
    auto* host = const_cast<std::byte*>(largest->host);
    return bool(device_->buffer(bytes, VKS_BUFFER_IMPORT, host, "import of " + largest->name));
}

}  // namespace vks
