// Speculative decoding with MTP modules (V3 report, section 5.4.3): modules draft ids, one step of the main model
// verifies them. By default a draft stands where it is what the sampler chooses from the main model's own logits, so
// the ids are those of a run that drafts nothing.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "backend/base/result.h"
#include "frontend/gen/draft_length.h"
#include "frontend/gen/sampler.h"
#include "frontend/gen/sequence.h"

namespace vks {

enum class AcceptRule {
    kSame,       // the sampler's choice at that position, whose noise depends on seed and position only, is the draft
    kRejection,  // rejection sampling: more are accepted, the distribution is the same, the ids depend on the drafts
};

struct SpeculationOptions {
    int64_t most = 0;    // drafts a step; wants an engine with options.draft as large and at least one MTP module
    bool adapt = false;  // only as many of them as pay
    bool only_row_bits = false;  // adapt, but draft nothing where that may change a bit: Engine::row_bits()
    AcceptRule rule = AcceptRule::kSame;
    std::function<double()> clock;  // seconds; empty: the machine's
    // Verified instead of what was drafted for a position: replays known drafts, for benchmarks and tests.
    std::function<int32_t(int64_t position, int32_t drafted)> replace;
    // The id for a position whatever the logits say, drafted or not: the text of a benchmark.
    std::function<int32_t(int64_t position)> known;
};

struct SpeculationStats {
    int64_t most = 0;  // of the options, as is
    bool adapt = false;
    int64_t steps = 0;  // of the main model after the prompt
    int64_t drafted = 0, accepted = 0;
    std::vector<int64_t> drafted_at, accepted_at;  // by place of the draft within its step
    double draft_seconds = 0, verify_seconds = 0, rollback_seconds = 0;
    double acceptance() const { return drafted > 0 ? double(accepted) / double(drafted) : 0; }
};

// An id from `probabilities`, which add up to 1.
int32_t draw_id(std::span<const double> probabilities, double noise);

// Rejection sampling (Leviathan et al. 2023, arXiv:2211.17192, algorithm 1): `drafted`, which came from `draft`, or
// another id, such that the outcome has the distribution `target`.
int32_t judge_by_rejection(std::span<const double> target, std::span<const double> draft, int32_t drafted,
                           uint64_t seed, int64_t position);
// What drafts are drawn with under kRejection: independent of what judges them.
double draft_noise(uint64_t seed, int64_t position);

// Gives the ids that follow a sequence, one by one. Lasts for one run of the sequence; all arguments must outlive it.
// Not thread-safe.
class Speculator {
public:
    Speculator(Sequence& sequence, Sampler& sampler, const SpeculationOptions& options, DraftLength& length);

    // After the prompt has run: next() is for its last row.
    Status begin();
    // Whether next() has to wait for a step().
    bool used_up() const { return used_up_; }
    // Drafts up to `most` ids, fewer where a module's logits are NaN, and runs the main model over the last id and
    // them.
    Status step(int64_t most);
    // The next id; it is pushed onto the sequence, or stands there as an accepted draft.
    Result<int32_t> next();
    // The logits that gave it.
    std::span<const float> row() const { return std::span(rows_).subspan(at_ * vocab_, vocab_); }

    const SpeculationStats& stats() const { return stats_; }

private:
    int64_t count_drafts(int64_t most);
    Status catch_up(int64_t count);
    Status draft(int64_t count);
    Result<int32_t> choose_draft(std::span<const float> logits, int64_t position);
    Result<int32_t> judge(int64_t position, const int32_t* drafted);
    bool by_rejection() const;
    void end_step(int64_t position);

    Sequence& sequence_;
    Sampler& sampler_;
    const SpeculationOptions& options_;
    DraftLength& length_;
    std::function<double()> clock_;
    size_t vocab_;
    std::vector<float> rows_;   // of the last step
    int64_t base_ = 0;          // position that row 0 speaks of
    size_t at_ = 0, next_ = 0;  // rows: of the last next(), of the one to come
    bool used_up_ = true;
    std::vector<std::vector<double>> draft_probabilities_;  // under kRejection
    std::vector<double> draft_seconds_;                     // of the last step's drafts
    std::optional<DraftedStep> last_;                       // the last step; none: that was the prompt's
    SpeculationStats stats_;
};

}  // namespace vks
