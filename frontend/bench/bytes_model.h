// What a step has to read and compute at the least, by the model's configuration alone: weights once for all rows,
// experts as many as the rows choose, the latent cache once. What measured times are held against.
#pragma once
#include <cstdint>

#include "frontend/io/config.h"

namespace vks::bench {

// How the rows of a step choose their experts.
enum class Routing {
    kIndependent,  // each row for itself: rows * k of E experts, some more than once
    kCoincide,     // all the same
};

struct StepWork {
    double bytes = 0, flops = 0;
};

// Of E experts, how many different ones `rows` rows of `chosen` each are expected to choose.
double expected_experts(double experts, double chosen, int64_t rows, Routing routing);

// One step of the main model (module 0) or of MTP module `module` over `rows` rows, `head_rows` of which get logits,
// with `context` rows in the latent cache.
StepWork step_work(const ModelConfig& config, int module, int64_t rows, int64_t head_rows, int64_t context,
                   Routing routing);

// Tokens a step gives when each of up to `drafts` drafts is right with probability `acceptance`, the first wrong one
// ending it.
double tokens_per_step(int64_t drafts, double acceptance);

// How many times as many tokens a second drafting gives, if bytes were all that takes time.
double drafting_gain(const ModelConfig& config, int64_t drafts, double acceptance, int64_t context, Routing routing);

}  // namespace vks::bench
