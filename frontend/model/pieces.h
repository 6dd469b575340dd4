// A model's weights as the pieces that residency is planned by: an expert, a layer's attention, the head. Knows no
// memories.
#pragma once
#include <cstdint>
#include <vector>

#include "frontend/io/checkpoint.h"
#include "frontend/io/config.h"
#include "frontend/model/layout.h"

namespace vks {

struct ModelPiece {
    uint64_t bytes = 0;
    double reads = 1;  // the part of it that a token is expected to read, as in backend/plan/residency.h
    TensorKind kind = TensorKind::kAttention;
    int64_t layer = -1, expert = -1;  // as in TensorSpec
    uint64_t scale_bytes = 0;         // of bytes
    int64_t parameters = 0;
    std::vector<const TensorView*> tensors;  // empty without files; borrowed from the checkpoint
};

// Every weight in exactly one piece, in the order of the layers; experts count as equally likely. `mtp`: so many MTP
// modules run, the others are never read. Sizes are those of the release.
std::vector<ModelPiece> shape_pieces(const ModelConfig& config, int64_t mtp = 0);
// With the sizes of the files, and their tensors. What the files hold besides is in no piece.
std::vector<ModelPiece> checkpoint_pieces(const Checkpoint& checkpoint, int64_t mtp = 0);

}  // namespace vks
