// Chooses the next token from a row of logits. A pure function of the row, the position and the ids before it: nothing
// carries over from call to call, so drafts may be sampled out of order and again.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "backend/base/result.h"

namespace vks {

// Applied in this order. The neutral value of each switches it off.
struct SamplingOptions {
    double repeat_penalty = 1;  // > 0; logits of ids seen before are divided by it, negative ones multiplied
    double temperature = 0;     // 0: the largest logit, lowest id among equals; what follows has no effect then
    int64_t top_k = 0;          // only so many of the likeliest; 0: all
    double top_p = 1;           // [0, 1]: the fewest of the likeliest that have this probability together, at least one
    double min_p = 0;           // [0, 1]: those with at least this part of the likeliest one's probability
    uint64_t seed = 0;
};

// In [0, 1), 53 bits; keyed by (seed, position), so it doesn't depend on how many numbers were drawn before.
double sampling_noise(uint64_t seed, uint64_t position);

// The index of the largest value, the lowest one among equals. NaN is never it; 0 if nothing else is there.
int32_t argmax(std::span<const float> row);

// Error: a NaN among the logits; `position` is that of the id they follow.
Status refuse_nan(std::span<const float> logits, int64_t position);

// Thread-safe as long as each thread has its own.
class Sampler {
public:
    explicit Sampler(const SamplingOptions& options) : options_(options) {}

    // The id for `position` given `logits` [vocab] and the ids of positions before it. Error: a NaN among the logits.
    Result<int32_t> sample(std::span<const float> logits, int64_t position, std::span<const int32_t> before);
    // What sample() draws from: a probability for each id. Wants a temperature above 0.
    Result<std::vector<double>> probabilities(std::span<const float> logits, int64_t position,
                                              std::span<const int32_t> before);
    const SamplingOptions& options() const { return options_; }

private:
    struct Candidate {
        double weight;  // unnormalised probability
        int32_t id;
    };
    // Candidates [first, end) are left, the least likely first, and weigh `sum`; the others are a heap.
    struct Kept {
        std::vector<Candidate>::iterator first;
        double sum = 0;
    };
    Status prepare(std::span<const float> logits, int64_t position, std::span<const int32_t> before);
    void penalise(std::span<const int32_t> before);
    void weigh();
    bool restricted() const { return options_.top_p < 1 || options_.min_p > 0; }
    double arrange();
    Kept restrict(double total);
    int32_t draw(double noise);

    SamplingOptions options_;
    std::vector<float> row_;  // scratch
    std::vector<Candidate> candidates_;
};

}  // namespace vks
