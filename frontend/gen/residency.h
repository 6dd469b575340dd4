// The planner's choice for a model: homes for its pieces. The same for a plan that is only printed and for a run.
#pragma once
#include <cstdint>
#include <vector>

#include "frontend/model/pieces.h"

namespace vks {

// assign_homes() for a model's pieces.
std::vector<size_t> homes_of(const std::vector<ModelPiece>& pieces, const std::vector<uint64_t>& rooms);
// One of several experts of which a token reads some.
bool is_expert(const ModelPiece& piece);
// Where experts stay in the file, those of a layer pass through memory while the next are read.
uint64_t passing_bytes(const ModelConfig& config, const std::vector<ModelPiece>& pieces);

}  // namespace vks
