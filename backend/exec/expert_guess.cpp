#include "backend/exec/expert_guess.h"

#include <algorithm>
#include <numeric>

namespace vks {

void ExpertGuess::saw(size_t layer, size_t experts, std::span<const size_t> used) {
    if (layers_.size() <= layer) layers_.resize(layer + 1);
    Layer& here = layers_[layer];
    here.experts = experts;
    const bool few = 2 * used.size() <= experts;
    if (few && layer > 0 && last_ == layer - 1) {
        const size_t before = layers_[layer - 1].experts;
        here.together.resize(before * experts);
        here.seen.resize(before);
        for (const size_t b : used_) {
            const std::span<uint16_t> row(&here.together[b * experts], experts);
            if (here.seen[b] == UINT16_MAX) {  // what was long ago counts less
                here.seen[b] /= 2;
                for (uint16_t& count : row) count /= 2;
            }
            ++here.seen[b];
            for (const size_t e : used) ++row[e];
        }
    }
    last_ = layer;
    used_.clear();
    if (few) used_.assign(used.begin(), used.end());
}

std::vector<size_t> ExpertGuess::next() const {
    if (last_ + 1 >= layers_.size()) return {};
    const Layer& next = layers_[last_ + 1];
    // The sum of the shares; two more times for what was seen seldom, so that chance counts less.
    std::vector<float> score(next.experts);
    for (const size_t b : used_) {
        if (b >= next.seen.size() || next.seen[b] == 0) continue;
        for (size_t e = 0; e < next.experts; ++e)
            score[e] += static_cast<float>(next.together[b * next.experts + e]) / static_cast<float>(next.seen[b] + 2);
    }
    std::vector<size_t> order(next.experts);
    std::iota(order.begin(), order.end(), size_t{0});
    const size_t most = std::min(used_.size(), order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(most), order.end(),
                      [&](size_t a, size_t b) { return score[a] != score[b] ? score[a] > score[b] : a < b; });
    order.resize(most);
    std::erase_if(order, [&](size_t e) { return score[e] <= 0; });
    return order;
}

}  // namespace vks
