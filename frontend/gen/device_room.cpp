#include "frontend/gen/device_room.h"

#include <algorithm>

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

}  // namespace

// Which nodes are there decides how much their activations and caches take, and that how much is left for weights: a
// few rounds find what fits.
Status keep_within(const std::vector<ModelPiece>& pieces, Device& device, uint64_t cap,
                   std::span<PlanRequest> requests) {
    constexpr int kRounds = 12;
    const std::vector<PlanRequest> whole(requests.begin(), requests.end());
    const auto set = [&](const std::shared_ptr<const Away>& away) {
        for (size_t i = 0; i < requests.size(); ++i) {
            requests[i].preference.away[&device] = away;
            if (whole[i].graph) requests[i].graph = split_experts(whole[i].graph, away->weights);
        }
    };
    VKS_ASSIGN(MemoryNeed need, memory_need(requests, device));
    if (need.total() <= cap) return {};
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
