// Counts for `inspect` and `plan`: parameters and bytes by purpose, and what a token costs in the cache. Knows no
// devices.
#pragma once
#include <array>
#include <cstdint>

#include "backend/base/result.h"
#include "frontend/io/checkpoint.h"
#include "frontend/io/config.h"
#include "frontend/model/layout.h"

namespace vks {

struct KindStats {
    int64_t tensors = 0;
    int64_t parameters = 0;  // 0 for kScales: scales are not parameters
    uint64_t bytes = 0;
};

struct ModelStats {
    std::array<KindStats, kTensorKindNames.size()> kinds;  // by TensorKind; their bytes add up to bytes
    uint64_t bytes = 0;                                    // of all tensors of the model
    uint64_t unused_bytes = 0;                             // of tensors in the files that the model has no use for

    int64_t parameters = 0;         // of the main model: without MTP modules, without scales
    int64_t active_parameters = 0;  // of those, multiplied with for one token: without the embedding table
    int64_t mtp_parameters = 0;     // of MTP modules, without their copies of embedding and head

    int64_t kv_values_per_token = 0;  // latent and rotary part, all hidden layers
    int64_t kv_bytes_per_token = 0;   // with 16 bits a value
    // How many times larger the cache of multi-head attention would be: with keys of nope dimensions ("plain", no
    // decoupled rotary part) and with the expanded keys of nope + rope; values of v_head_dim in both.
    double plain_cache_ratio = 0, expanded_cache_ratio = 0;

    const KindStats& operator[](TensorKind kind) const { return kinds[static_cast<size_t>(kind)]; }
};

// What a weight takes in the release: FP8 and its scales if the configuration says so, else bf16; router biases f32.
struct TensorBytes {
    uint64_t weight = 0, scale = 0;
};
TensorBytes released_bytes(const ModelConfig& config, const TensorSpec& spec);

// By the configuration alone, with released_bytes().
ModelStats shape_stats(const ModelConfig& config);

// With the types and bytes of the files.
ModelStats checkpoint_stats(const Checkpoint& checkpoint);

}  // namespace vks
