// How many ids to draft in a step, from what steps took and how often drafts were right.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace vks {

// Tries one length after the other until it gets worse, then keeps to the one that promises most ids a second and now
// and then tries its neighbours, so that it notices when text or machine have changed. Has no clock: the same records,
// the same choices.
class DraftLength {
public:
    explicit DraftLength(int64_t most);

    // For the next step, 0 to `most` of the constructor.
    int64_t choose();
    // A step that drafted draft_seconds.size() ids and verified them; the first `accepted` were right.
    void record(int64_t accepted, std::span<const double> draft_seconds, double verify_seconds);
    // Ids a second with `drafts` drafts, as known so far; they were tried.
    double rate(int64_t drafts) const;

private:
    struct Seconds {
        double mean = 0;
        int64_t count = 0;
        void add(double seconds);
    };
    int64_t most_;
    std::vector<Seconds> draft_;    // by place of the draft
    std::vector<Seconds> verify_;   // by number of drafts
    std::vector<double> accepted_;  // by place: how often it is right when those before it are
    int64_t since_probe_ = 0, probes_ = 0;
};

}  // namespace vks
