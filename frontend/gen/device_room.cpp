#include "frontend/gen/device_room.h"

#include <algorithm>

#include "backend/plan/need.h"
#include "frontend/gen/residency.h"

namespace vks {
namespace {

// A layer's experts as one piece: one operator reads them all.
std::vector<ModelPiece> node_pieces(const Checkpoint& checkpoint, int64_t mtp) {
    std::vector<ModelPiece> merged;
    for (ModelPiece& piece : checkpoint_pieces(checkpoint, mtp)) {
        if (!is_expert(piece) || merged.empty() || !is_expert(merged.back()) || merged.back().layer != piece.layer) {
            merged.push_back(std::move(piece));
            continue;
        }
        merged.back().bytes += piece.bytes;
        merged.back().tensors.insert(merged.back().tensors.end(), piece.tensors.begin(), piece.tensors.end());
    }
    return merged;
}

std::shared_ptr<const Away> without_room(const std::vector<ModelPiece>& pieces, uint64_t room) {
    auto away = std::make_shared<Away>();
    const std::vector<size_t> homes = homes_of(pieces, {room});
    for (size_t i = 0; i < pieces.size(); ++i) {
        if (homes[i] == 0) continue;
        for (const TensorView* tensor : pieces[i].tensors) away->weights.emplace(tensor->name);
    }
    return away;
}

}  // namespace

// Which nodes are there decides how much their activations and caches take, and that how much is left for weights: a
// few rounds find what fits.
Status keep_within(const Checkpoint& checkpoint, Device& device, uint64_t cap, int64_t mtp,
                   std::span<PlanRequest> requests) {
    constexpr int kRounds = 12;
    const auto set = [&](const std::shared_ptr<const Away>& away) {
        for (PlanRequest& request : requests) request.preference.away[&device] = away;
    };
    VKS_ASSIGN(MemoryNeed need, memory_need(requests, device));
    if (need.total() <= cap) return {};
    const std::vector<ModelPiece> pieces = node_pieces(checkpoint, mtp);
    auto best = std::make_shared<const Away>(Away{.everything = true, .weights = {}});
    uint64_t best_weights = 0, room = cap;
    for (int round = 0; round < kRounds; ++round) {
        const uint64_t beside = need.states + need.activations;
        room = std::min(room, cap - std::min(cap, beside));
        const auto away = without_room(pieces, room);
        set(away);
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
    set(best);
    return {};
}

}  // namespace vks
