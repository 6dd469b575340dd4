#include "frontend/gen/device_room.h"

#include <algorithm>
#include <map>

#include "backend/plan/need.h"
#include "backend/plan/split.h"
#include "frontend/gen/residency.h"

namespace vks {
namespace {

std::shared_ptr<const Away> without_room(const std::vector<ModelPiece>& pieces, uint64_t room) {
    auto away = std::make_shared<Away>();
    const std::vector<size_t> homes = homes_of(pieces, {room});
    for (size_t i = 0; i < pieces.size(); ++i) {
        if (homes[i] == 0) continue;
        for (const TensorView* tensor : pieces[i].tensors) away->weights.emplace(tensor->name);
    }
    return away;
}

// Bytes of the experts that have their home there, and of the largest.
struct ExpertBytes {
    uint64_t held = 0, largest = 0;
};

ExpertBytes expert_bytes(const std::vector<ModelPiece>& pieces, const Away& away) {
    ExpertBytes bytes;
    for (const ModelPiece& piece : pieces) {
        if (!is_expert(piece) || piece.reads <= 0) continue;
        bytes.largest = std::max(bytes.largest, piece.bytes);
        if (!away.everything && !away.weights.contains(std::string(piece.tensors.front()->name)))
            bytes.held += piece.bytes;
    }
    return bytes;
}

// A layer with none of its experts there has no use for slots: the most used one of each comes first.
std::vector<ModelPiece> one_of_each_layer_first(std::vector<ModelPiece> pieces) {
    constexpr double kFirst = 0.995;  // less than what every token reads, more than any expert
    std::map<int64_t, ModelPiece*> first;
    for (ModelPiece& piece : pieces) {
        if (!is_expert(piece) || piece.reads <= 0) continue;
        ModelPiece*& most = first[piece.layer];
        if (most == nullptr || most->reads < piece.reads) most = &piece;
    }
    for (const auto& [layer, piece] : first) piece->reads = kFirst;
    return pieces;
}

// Sets in `requests`, which have the graphs of `whole`, what isn't on the device and splits the graphs.
void set_away(std::span<const PlanRequest> whole, const Device& device, const std::shared_ptr<const Away>& away,
              std::span<PlanRequest> requests) {
    for (size_t i = 0; i < requests.size(); ++i) {
        requests[i].preference.away[&device] = away;
        if (whole[i].graph) requests[i].graph = split_experts(whole[i].graph, away->weights);
    }
}

// Which nodes are there decides how much their activations and caches take, and that how much is left for weights: a
// few rounds find what fits.
Result<std::shared_ptr<const Away>> fit(const std::vector<ModelPiece>& pieces, Device& device, uint64_t cap,
                                        std::span<const PlanRequest> whole, std::span<PlanRequest> requests) {
    constexpr int kRounds = 12;
    VKS_ASSIGN(MemoryNeed need, memory_need(whole, device));
    auto best = std::make_shared<const Away>(Away{.everything = true, .weights = {}});
    uint64_t best_weights = 0, room = cap;
    for (int round = 0; round < kRounds; ++round) {
        const uint64_t beside = need.states + need.activations;
        room = std::min(room, cap - std::min(cap, beside));
        const auto away = without_room(pieces, room);
        set_away(whole, device, away, requests);
        VKS_ASSIGN(need, memory_need(requests, device));
        if (need.total() > cap) {
            room -= std::min(room, need.total() - cap);
            continue;
        }
        if (need.weights <= best_weights) break;
        best = away;
        best_weights = need.weights;
        room += cap - need.total();  // nodes that went elsewhere left some
    }
    return best;
}

// Bytes of the cap that are left for slots.
Result<uint64_t> keep_within(const std::vector<ModelPiece>& pieces, const MemoryCap& cap, bool slots,
                             std::span<PlanRequest> requests) {
    const std::vector<PlanRequest> whole(requests.begin(), requests.end());
    VKS_ASSIGN(const MemoryNeed need, memory_need(whole, *cap.device));
    if (need.total() <= cap.bytes) return uint64_t{0};
    VKS_ASSIGN(std::shared_ptr<const Away> away, fit(pieces, *cap.device, cap.bytes, whole, requests));
    // A quarter of what experts have, as what is used changes from text to text.
    const ExpertBytes bytes = expert_bytes(pieces, *away);
    const uint64_t room = slots && bytes.held > 0 ? bytes.held / 4 / bytes.largest * bytes.largest : 0;
    if (room > 0) {
        VKS_ASSIGN(away, fit(one_of_each_layer_first(pieces), *cap.device, cap.bytes - room, whole, requests));
    }
    set_away(whole, *cap.device, away, requests);
    return room;
}

// Where the device stands among those that serve any operator; SIZE_MAX: it doesn't.
size_t rank(const Device& device, std::span<const PlanRequest> requests) {
    for (const PlanRequest& request : requests) {
        const Preference& preference = request.preference;
        const auto end = preference.order.begin() + static_cast<std::ptrdiff_t>(preference.general);
        const auto at = std::find(preference.order.begin(), end, &device);
        if (at != end) return static_cast<size_t>(at - preference.order.begin());
    }
    return SIZE_MAX;
}

}  // namespace

std::vector<std::vector<ModelPiece>> share_layers(const std::vector<ModelPiece>& pieces,
                                                  std::span<const uint64_t> memories) {
    double all = 0, room = 0;
    for (const ModelPiece& piece : pieces) all += piece.reads > 0 ? static_cast<double>(piece.bytes) : 0;
    for (const uint64_t bytes : memories) room += static_cast<double>(bytes);
    std::vector<std::vector<ModelPiece>> shares(memories.size(), pieces);
    size_t owner = 0;
    double taken = 0, end = memories.empty() ? 0 : static_cast<double>(memories[0]);  // of the owner's memory
    for (size_t first = 0, last = 0; first < pieces.size(); first = last) {
        double bytes = 0;
        for (; last < pieces.size() && pieces[last].layer == pieces[first].layer; ++last)
            bytes += pieces[last].reads > 0 ? static_cast<double>(pieces[last].bytes) : 0;
        // Whoever has a layer's middle has all of it.
        while (owner + 1 < memories.size() && (taken + bytes / 2) * room >= end * all)
            end += static_cast<double>(memories[++owner]);
        taken += bytes;
        for (size_t d = 0; d < shares.size(); ++d)
            for (size_t i = first; d != owner && i < last; ++i) shares[d][i].reads = 0;
    }
    return shares;
}

Result<std::pair<Device*, uint64_t>> keep_within(const std::vector<ModelPiece>& pieces, std::vector<MemoryCap> caps,
                                                 bool slots, std::span<PlanRequest> requests) {
    std::ranges::stable_sort(caps, {}, [&](const MemoryCap& cap) { return rank(*cap.device, requests); });
    std::vector<uint64_t> sharing;
    for (const MemoryCap& cap : caps)
        if (rank(*cap.device, requests) != SIZE_MAX) sharing.push_back(cap.bytes);
    const std::vector<std::vector<ModelPiece>> shares = share_layers(pieces, sharing);
    std::pair<Device*, uint64_t> found = {nullptr, 0};
    for (size_t i = 0; i < caps.size(); ++i) {
        const bool wanted = slots && found.second == 0;
        VKS_ASSIGN(const uint64_t room, keep_within(i < shares.size() ? shares[i] : pieces, caps[i], wanted, requests));
        if (room > 0) found = {caps[i].device, room};
    }
    return found;
}

}  // namespace vks
