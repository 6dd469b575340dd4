// From a bf16, f16 or f32 checkpoint to one in the released FP8 format: e4m3 weights with a scale for each block of
// 128×128.
#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>

#include "backend/base/result.h"
#include "frontend/io/shards.h"

namespace vks {

// Quantises one row of blocks: `values` are at most 128 rows of `cols`, codes as many, scales ceil(cols/128). A block's
// scale is its largest magnitude / 448, at least 2^-126; a code is e4m3(value / scale). Returns the position of a value
// that is not finite, if there is one; codes and scales say nothing then.
std::optional<size_t> quantize_blocks(std::span<const float> values, size_t cols, std::span<uint8_t> codes,
                                      std::span<float> scales);

struct QuantizeOptions {
    std::filesystem::path in;
    std::filesystem::path out;  // an empty folder, or none yet in a folder that is there
    uint64_t max_shard_bytes = kReleasedShardBytes;
    unsigned threads = 0;                              // as in ShardOptions
    std::function<void(uint64_t, uint64_t)> progress;  // as in ShardOptions
    const std::atomic<bool>* interrupted = nullptr;    // set: stop and clean up
};

struct QuantizeSummary {
    uint64_t tensors = 0, quantized = 0;   // of the checkpoint that was read
    uint64_t parameters = 0;               // of the quantised ones
    uint64_t bytes_in = 0, bytes_out = 0;  // of tensors
    uint64_t shards = 0;
    double relative_error = 0;  // ||quantised - original|| / ||original|| over all quantised weights
};

// Quantises the weights that are FP8 in the release: the projections of attention, dense layers and experts, MTP
// modules' too. Router, norms, embeddings, heads, biases and eh_proj keep their bytes; config.json its other fields.
// Memory: a row of blocks a thread. `out` appears when it is complete; one that is there holds a folder quantize.*.tmp
// until then, and gets config.json last. Errors: `out` is not empty, or a link to nothing, the model is FP8 already, a
// weight is not finite, a file shrinks meanwhile, whatever the file system says; `out` is as before then.
Result<QuantizeSummary> quantize(const QuantizeOptions& options);

}  // namespace vks
