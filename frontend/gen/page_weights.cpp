#include "frontend/gen/page_weights.h"

#include <algorithm>

#include "frontend/gen/residency.h"

namespace vks {
namespace {

constexpr unsigned kReaders = 4;  // threads that wait for the disk

RangeUse use_of(const ModelPiece& piece, bool fits) {
    if (is_expert(piece)) return RangeUse::kCached;
    if (piece.reads < 1) return RangeUse::kTouched;
    return fits ? RangeUse::kPinned : RangeUse::kStreamed;
}

// What isn't aligned in its file was copied to memory that isn't the pager's.
void drop_copied(ModelPiece& piece) {
    std::erase_if(piece.tensors, [&](const TensorView* tensor) {
        if (tensor->aligned()) return false;
        piece.bytes -= tensor->bytes;
        return true;
    });
}

bool is_among(const ModelPiece& piece, const std::set<const std::byte*>& weights) {
    return std::ranges::any_of(piece.tensors, [&](const TensorView* t) { return weights.contains(t->data); });
}

// Bytes of the largest tensor that every token needs and that has no room.
uint64_t largest_streamed(const std::vector<ModelPiece>& pieces, const std::vector<size_t>& homes) {
    uint64_t largest = 0;
    for (size_t i = 0; i < pieces.size(); ++i) {
        if (homes[i] == 0 || pieces[i].reads < 1) continue;
        for (const TensorView* tensor : pieces[i].tensors) largest = std::max(largest, tensor->bytes);
    }
    return largest;
}

}  // namespace

std::unique_ptr<Paging> page_weights(const Checkpoint& checkpoint, Device& device,
                                     const std::set<const std::byte*>& weights, uint64_t budget, int64_t mtp) {
    std::vector<ModelPiece> pieces = checkpoint_pieces(checkpoint, mtp);
    std::ranges::for_each(pieces, drop_copied);
    std::erase_if(pieces, [&](const ModelPiece& piece) { return !is_among(piece, weights); });
    uint64_t all = 0;
    for (const ModelPiece& piece : pieces)
        if (piece.reads > 0) all += piece.bytes;
    if (all <= budget) return nullptr;

    // Room is kept for what passes through: a token's experts, or a weight that is multiplied whole.
    uint64_t passing = passing_bytes(checkpoint.config(), pieces);
    std::vector<size_t> homes = homes_of(pieces, {budget - std::min(budget, passing)});
    passing = std::max(passing, largest_streamed(pieces, homes));
    homes = homes_of(pieces, {budget - std::min(budget, passing)});
    auto pager = std::make_unique<Pager>(budget, kReaders);
    for (size_t i = 0; i < pieces.size(); ++i) {
        if (!(pieces[i].reads > 0)) continue;
        for (const TensorView* tensor : pieces[i].tensors)
            pager->add(*tensor->file, tensor->data, tensor->bytes, use_of(pieces[i], homes[i] == 0));
    }
    return std::make_unique<Paging>(device, std::move(pager));
}

}  // namespace vks
