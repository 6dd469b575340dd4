// DeepSeek-V3 as a graph (arXiv:2412.19437): the only place that knows how its operators are put together. One builder
// serves prefill chunks, single tokens and MTP modules; nothing here knows devices.
#pragma once
#include <memory>

#include "backend/graph/builder.h"
#include "frontend/io/checkpoint.h"

namespace vks {

struct ModelOptions {
    bool half = true;         // bf16 activations and cache; the residual stream and router logits stay f32
    bool w8a8 = false;        // inputs of FP8 matrices quantised, except kv_b_proj's
    int64_t context = 0;      // rows of each latent cache
    int64_t max_tokens = 1;   // T
    int64_t max_rows = 1;     // R: rows that get logits
    bool expanded = false;    // attention with each head's keys and values, not on the latents: attention_work()
    bool trace = false;       // hidden.{l} and router.{l}.* become outputs
    bool hidden_out = false;  // final_norm [T, hidden] becomes an output, for the MTP module that follows
};

// The values a step gives, by id.
struct StepInputs {
    ValueId ids = kAbsent;     // i32 [T]
    ValueId hidden = kAbsent;  // MTP only: final norm of the previous module, act [T, hidden]
    ValueId rope = kAbsent;    // f32 [T, rope]: rope_table()
    ValueId slot = kAbsent;    // i32 [T]: cache row of each token
    ValueId span = kAbsent;    // i32 [T, 2]: first cache row, rows visible
    ValueId rows = kAbsent;    // i32 [R]: which tokens get logits
};

struct ModelGraph {
    std::shared_ptr<const Graph> graph;
    StepInputs inputs;
};

// The main model. Outputs: "logits" f32 [R, vocab], "final_norm" under hidden_out, under trace "hidden.{l}" f32
// [T, hidden] for l = 0..L and "router.{l}.topk_idx", "router.{l}.topk_weight" [T, K]. States: "kv.{l}".
Result<ModelGraph> build_main(std::shared_ptr<const Checkpoint> checkpoint, const ModelOptions& options);

// MTP module k >= 1 (V3 report, section 2.2): its input h is the main model's final_norm (k = 1) or module k-1's.
// Embedding and head are the main model's. Outputs: "logits", "final_norm" under hidden_out. State: "kv.{L + k - 1}".
Result<ModelGraph> build_mtp(std::shared_ptr<const Checkpoint> checkpoint, int k, const ModelOptions& options);

}  // namespace vks
