// Which tensors a checkpoint of a configuration consists of: names, shapes and purposes, as released. The one list that
// verifying, counting and synthesising go by.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "backend/base/result.h"
#include "frontend/io/config.h"

namespace vks {

// What a tensor is for, in the order reports list them. MTP modules are one kind with all that is in them.
enum class TensorKind : size_t {
    kAttention,
    kDenseFfn,
    kExperts,
    kSharedExperts,
    kRouter,
    kEmbedding,
    kHead,
    kNorms,
    kScales,
    kMtp,
};
inline constexpr std::array<std::string_view, 10> kTensorKindNames = {
    "attention", "dense_ffn", "experts", "shared_experts", "router", "embedding", "head", "norms", "scales", "mtp"};

// Rows and columns of a block that shares one scale in FP8 checkpoints.
inline constexpr int64_t kScaleBlock = 128;

// A weight with its name in the file. FP8 weights have a scale besides, named scale_name(name), which is not listed.
struct TensorSpec {
    std::string name;
    TensorKind kind = TensorKind::kAttention;
    int64_t layer = -1;   // -1: embedding, final norm, head
    int64_t expert = -1;  // -1: not of a routed expert
    int64_t rows = 0;     // length of a vector
    int64_t cols = 0;     // 0: a vector
    bool may_be_fp8 = false;
    bool router_bias = false;  // e_score_correction_bias, f32 in the release
    bool embedding = false;    // a table of token embeddings, the MTP modules' copies too
    bool head = false;         // an output head, the MTP modules' copies too
    bool optional = false;     // a tied head: the embedding takes its place

    // Not needed of a checkpoint: what is above, and the copies in MTP modules, which no graph reads.
    bool may_be_missing() const { return optional || (kind == TensorKind::kMtp && (embedding || head)); }

    int64_t elements() const { return cols > 0 ? rows * cols : rows; }  // fits for a checked ModelConfig
};

inline std::string scale_name(std::string_view weight) {
    return std::string(weight) + "_scale_inv";
}
inline int64_t scale_blocks(int64_t n) {
    return (n + kScaleBlock - 1) / kScaleBlock;
}
// "model.layers.61." for MTP module 1 of a model of 61 layers.
std::string layer_prefix(int64_t layer);

// Calls `visit` for each weight, in the order of the layers; stops at its first error and returns it.
Status for_each_tensor(const ModelConfig& config, const std::function<Status(const TensorSpec&)>& visit);

}  // namespace vks
