#include "frontend/gen/found_room.h"

#include <algorithm>

#include "backend/plan/need.h"
#include "frontend/gen/device_room.h"
#include "frontend/gen/expert_statistics.h"

namespace vks {
namespace {

// Less than there is: for the driver, blocks that aren't full, and activations of plans that are being exchanged.
uint64_t with_reserve(uint64_t bytes) {
    return bytes / 16 * 15;
}

// Those with memory of their own; none where one of them has a cap.
std::vector<Device*> with_own_memory(const std::vector<PlanRequest>& requests) {
    std::vector<Device*> found;
    for (const PlanRequest& request : requests)
        for (Device* device : request.preference.order)
            if (!device->has(VKS_DEVICE_HOST_MEMORY) && std::ranges::find(found, device) == found.end())
                found.push_back(device);
    const auto capped = [&](const Device* device) { return requests.front().preference.away.contains(device); };
    if (std::ranges::any_of(found, capped)) found.clear();
    return found;
}

}  // namespace

void FoundRoom::keep(std::vector<PlanRequest>& requests, const PlanSet* in_force) {
    whole_ = requests;
    devices_ = with_own_memory(requests);
    const auto used = [&](const Device* device) { return in_force != nullptr && in_force->uses(*device); };
    in_use_ = std::ranges::any_of(devices_, used);
    limited_ = false;
    rounds_ = 0;
    slots_of_ = {};
    if (devices_.empty() || !find_caps()) return;
    // Where no other device would take the rest, these are asked for all of it, and say what they lack.
    if (auto within = within_caps()) requests = *std::move(within);
}

// False: what they have suffices, or isn't known.
bool FoundRoom::find_caps() {
    const auto known = [&](const Device* device) { return caps_.contains(device); };
    if (std::ranges::all_of(devices_, known)) return true;
    if (in_use_) return false;
    uint64_t free = 0;
    for (Device* device : devices_) {
        const vks_info& info = device->info();
        if (info.bytes_total == 0 || info.bytes_free == 0 || imports(*device)) return false;
        free += info.bytes_free;
    }
    const auto need = memory_need(whole_, *devices_.front());
    if (!need || need->total() + (devices_.size() - 1) * need->activations <= free) return false;
    for (const Device* device : devices_) caps_.try_emplace(device, with_reserve(device->info().bytes_free));
    return true;
}

Result<std::vector<PlanRequest>> FoundRoom::replan(const Shortage& shortage) {
    constexpr int kRounds = 4;
    if (!replans() || std::ranges::find(devices_, shortage.device) == devices_.end() || rounds_++ == kRounds)
        return Error{Code::kNoBackend, "plans: no room is known for them"};
    uint64_t& cap = caps_.try_emplace(shortage.device, shortage.held).first->second;
    cap = with_reserve(std::min(cap, shortage.held));
    return within_caps();
}

Result<std::vector<PlanRequest>> FoundRoom::within_caps() {
    std::vector<ModelPiece> pieces = checkpoint_pieces(*checkpoint_, mtp_);
    ExpertStatistics(*checkpoint_, mtp_).weigh(pieces);
    std::vector<MemoryCap> caps;
    for (Device* device : devices_) caps.push_back({device, caps_.at(device)});
    std::vector<PlanRequest> requests = whole_;
    VKS_ASSIGN(slots_of_, keep_within(pieces, std::move(caps), slots_, requests));
    limited_ = true;
    return requests;
}

// Whether weights take nothing of its memory: the largest is tried.
bool FoundRoom::imports(Device& device) const {
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
    return bool(device.buffer(bytes, VKS_BUFFER_IMPORT, host, "import of " + largest->name));
}

}  // namespace vks
