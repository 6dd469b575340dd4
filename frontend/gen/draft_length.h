// How many ids to draft in a step, from what steps took and how often drafts were right.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace vks {

// What a step of the main model took, and what went before it.
struct DraftedStep {
    int64_t accepted = 0;                   // of the drafts, those from the first on that were right
    std::span<const double> draft_seconds;  // one of each draft
    double verify_seconds = 0;
    int64_t rows = 0;        // that modules were behind and made up for before the first draft,
    double row_seconds = 0;  // in which time
};

// Keeps to the length that promises most ids a second and now and then tries another: one more, as long as that helps,
// and later the neighbours, so that it notices when text or machine have changed. Cautious: a trial has to wait until
// what trials may lose is a small part of the time so far. Has no clock: the same records, the same choices.
class DraftLength {
public:
    explicit DraftLength(int64_t most);

    // No trial comes before that many steps.
    static constexpr int64_t kFirstTrial = 8;

    // For the next step, 0 to `most` of the constructor, with modules that are `behind` by so many rows.
    int64_t choose(int64_t behind);
    void record(const DraftedStep& step);
    // What such a row takes for as long as none was measured: so many seconds, but at most this part of a step.
    void expect_row(double seconds, double part);
    // Ids a second with `drafts` drafts, as known so far; they were tried.
    double rate(int64_t drafts) const;

private:
    struct Seconds {
        double mean = 0;
        int64_t count = 0;
        void add(double seconds);
    };
    bool known(int64_t drafts) const;
    int64_t best() const;
    int64_t candidate(int64_t best) const;
    double cost(int64_t drafts, int64_t best, int64_t behind) const;
    double ids(int64_t drafts) const;
    double seconds(int64_t drafts) const;

    int64_t most_;
    std::vector<Seconds> draft_;   // by place of the draft
    std::vector<Seconds> verify_;  // by number of drafts
    Seconds row_;                  // of a module, made up for
    double expected_row_ = 0, row_part_ = 0;
    std::vector<double> accepted_;  // by place: how often it is right when those before it are
    double spent_ = 0, lost_ = 0;   // seconds: of all steps, and of trials more than without them
    int64_t chosen_ = 0;
    bool trial_ = false;
    int64_t since_probe_ = 0, probes_ = 0;
};

}  // namespace vks
