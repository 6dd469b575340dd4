#include "frontend/gen/draft_length.h"

#include <algorithm>

namespace vks {
namespace {

constexpr int64_t kTries = 2;     // of a length before it is judged; the first time is often slow
constexpr int64_t kProbe = 32;    // steps between trials of a neighbour, at least
constexpr double kNewest = 0.1;   // weight of the newest in a running mean
constexpr double kOutlier = 2;    // what took longer than so many means counts as that: another program ran
constexpr double kUnknown = 0.5;  // acceptance before any draft was judged
// Of the time so far, what trials may have lost: of a length that isn't known yet, of others.
constexpr double kFirstShare = 1.0 / DraftLength::kFirstTrial, kShare = 1.0 / 64;

}  // namespace

void DraftLength::Seconds::add(double seconds) {
    if (count < kTries) {
        mean = count == 0 ? seconds : std::min(mean, seconds);
    } else {
        mean += kNewest * (std::min(seconds, kOutlier * mean) - mean);
    }
    ++count;
}

DraftLength::DraftLength(int64_t most)
    : most_(most), draft_(size_t(most)), verify_(size_t(most) + 1), accepted_(size_t(most), kUnknown) {}

bool DraftLength::known(int64_t drafts) const {
    return verify_[size_t(drafts)].count >= kTries;
}

double DraftLength::ids(int64_t drafts) const {
    double ids = 1, reached = 1;
    for (size_t i = 0; i < size_t(drafts); ++i) {
        reached *= accepted_[i];
        ids += reached;
    }
    return ids;
}

// What was never measured takes as long as what comes next to it: a draft as the one before it and the first one as a
// step without drafts, a step as one with a draft less.
double DraftLength::seconds(int64_t drafts) const {
    double sum = 0, draft = verify_[0].mean;
    for (size_t i = 0; i < size_t(drafts); ++i) {
        if (draft_[i].count > 0) draft = draft_[i].mean;
        sum += draft;
    }
    auto verify = size_t(drafts);
    while (verify > 0 && verify_[verify].count == 0) --verify;
    return sum + verify_[verify].mean;
}

double DraftLength::rate(int64_t drafts) const {
    return ids(drafts) / seconds(drafts);
}

int64_t DraftLength::best() const {
    int64_t best = 0;
    for (int64_t k = 1; k <= most_; ++k)
        if (known(k) && rate(k) > rate(best)) best = k;
    return best;
}

// What to try instead of `best`; that itself: nothing.
int64_t DraftLength::candidate(int64_t best) const {
    if (best < most_ && !known(best + 1)) return best + 1;
    if (most_ == 0 || since_probe_ < kProbe) return best;
    const int64_t step = probes_ % 2 == 0 ? 1 : -1;
    return best + step < 0 || best + step > most_ ? best - step : best + step;
}

// Seconds a trial may lose: nothing speaks for drafts that weren't judged yet.
double DraftLength::cost(int64_t drafts, int64_t best, int64_t behind) const {
    const double wanted = ids(known(drafts) ? drafts : best);
    const double row = row_.count > 0 ? row_.mean : std::min(expected_row_, row_part_ * verify_[0].mean);
    return double(behind) * row + seconds(drafts) - wanted / rate(best);
}

int64_t DraftLength::choose(int64_t behind) {
    trial_ = false;
    chosen_ = 0;
    if (!known(0)) return 0;
    ++since_probe_;
    chosen_ = best();
    const int64_t other = candidate(chosen_);
    if (other == chosen_) return chosen_;
    const double share = known(other) ? kShare : kFirstShare;
    if (lost_ + cost(other, chosen_, behind) > share * spent_) return chosen_;
    trial_ = true;
    since_probe_ = 0;
    ++probes_;
    return other;
}

void DraftLength::expect_row(double seconds, double part) {
    expected_row_ = seconds;
    row_part_ = part;
}

void DraftLength::record(const DraftedStep& step) {
    double sum = step.row_seconds + step.verify_seconds;
    for (const double seconds : step.draft_seconds) sum += seconds;
    spent_ += sum;
    if (trial_) lost_ = std::max(0.0, lost_ + sum - double(1 + step.accepted) / rate(chosen_));
    if (step.rows > 0) row_.add(step.row_seconds / double(step.rows));
    verify_[step.draft_seconds.size()].add(step.verify_seconds);
    for (size_t i = 0; i < step.draft_seconds.size(); ++i) {
        draft_[i].add(step.draft_seconds[i]);
        if (int64_t(i) > step.accepted) continue;
        // As many as the first ones are, they all count alike.
        const double newest = std::max(kNewest, 1.0 / double(draft_[i].count + 2));
        accepted_[i] += newest * ((int64_t(i) < step.accepted ? 1.0 : 0.0) - accepted_[i]);
    }
}

}  // namespace vks
