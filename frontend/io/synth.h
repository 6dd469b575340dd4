// Synthetic checkpoints: the released format in full (config.json, shards, index, FP8 with block scales) with seeded
// random weights, or with none.
#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "backend/base/result.h"
#include "frontend/io/config.h"
#include "frontend/io/shards.h"

namespace vks {

struct SynthOptions {
    ModelConfig config;         // its fp8 decides between FP8 and bf16
    std::filesystem::path out;  // a folder without a model in it; made if need be
    uint64_t seed = 0;
    // All weights are zeros that take no room on the disk: the full layout, for loaders and planners.
    bool sparse = false;
    bool one_route = false;               // routers ignore the token: within a layer all rows choose the same experts
    std::filesystem::path tokenizer_dir;  // if not empty: tokenizer.json and tokenizer_config.json are copied
    uint64_t max_shard_bytes = kReleasedShardBytes;
    unsigned threads = 0;  // 0: as many as there are processors, at most one a shard
    std::function<void(uint64_t, uint64_t)>
        progress;  // bytes done, bytes in all; may come from any thread, one at a time
    const std::atomic<bool>* interrupted = nullptr;  // once it is true, writing ends with an Error
};

// Writes the checkpoint. Memory: a few megabytes a thread. The same config and seed give the same bytes, whatever the
// shards and threads. Weights are N(0, 1/K) for K inputs, embeddings N(0, 1), norms about 1, router biases N(0, 0.05²),
// so that activations stay in range through any number of layers and the router spreads its choice. Errors: a model
// there already, not enough room, whatever the file system says, an interrupt. What was written is removed then.
Status synth(const SynthOptions& options);

}  // namespace vks
