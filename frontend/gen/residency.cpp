#include "frontend/gen/residency.h"

#include <algorithm>

#include "backend/plan/residency.h"

namespace vks {

bool is_expert(const ModelPiece& piece) {
    return piece.expert >= 0 && piece.reads < 1;
}

std::vector<size_t> homes_of(const std::vector<ModelPiece>& pieces, const std::vector<uint64_t>& rooms) {
    std::vector<Piece> plain;
    plain.reserve(pieces.size());
    for (const ModelPiece& piece : pieces) plain.push_back({piece.bytes, piece.reads});
    return assign_homes(plain, rooms);
}

uint64_t passing_bytes(const ModelConfig& config, const std::vector<ModelPiece>& pieces) {
    uint64_t largest = 0;
    for (const ModelPiece& piece : pieces)
        if (is_expert(piece) && piece.reads > 0) largest = std::max(largest, piece.bytes);
    return 2 * static_cast<uint64_t>(config.num_experts_per_tok) * largest;
}

}  // namespace vks
