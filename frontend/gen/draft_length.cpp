#include "frontend/gen/draft_length.h"

#include <algorithm>

namespace vks {
namespace {

constexpr int64_t kTries = 2;     // of a length before it is judged; the first time is often slow
constexpr int64_t kProbe = 32;    // steps between trials of a neighbour
constexpr double kNewest = 0.1;   // weight of the newest in a running mean
constexpr double kUnknown = 0.5;  // acceptance before any draft was judged

}  // namespace

void DraftLength::Seconds::add(double seconds) {
    if (count < kTries) {
        mean = count == 0 ? seconds : std::min(mean, seconds);
    } else {
        mean += kNewest * (seconds - mean);
    }
    ++count;
}

DraftLength::DraftLength(int64_t most)
    : most_(most), draft_(size_t(most)), verify_(size_t(most) + 1), accepted_(size_t(most), kUnknown) {}

double DraftLength::rate(int64_t drafts) const {
    double ids = 1, seconds = verify_[size_t(drafts)].mean, reached = 1;
    for (size_t i = 0; i < size_t(drafts); ++i) {
        reached *= accepted_[i];
        ids += reached;
        seconds += draft_[i].mean;
    }
    return ids / seconds;
}

int64_t DraftLength::choose() {
    for (int64_t k = 0; k <= most_; ++k) {
        if (verify_[size_t(k)].count < kTries) return k;
        if (k > 0 && rate(k) < rate(k - 1)) break;
    }
    int64_t best = 0;
    for (int64_t k = 1; k <= most_; ++k)
        if (verify_[size_t(k)].count > 0 && rate(k) > rate(best)) best = k;
    if (most_ == 0 || ++since_probe_ < kProbe) return best;
    since_probe_ = 0;
    const int64_t step = ++probes_ % 2 == 0 ? -1 : 1;
    return best + step < 0 || best + step > most_ ? best - step : best + step;
}

void DraftLength::record(int64_t accepted, std::span<const double> draft_seconds, double verify_seconds) {
    verify_[draft_seconds.size()].add(verify_seconds);
    for (size_t i = 0; i < draft_seconds.size(); ++i) {
        draft_[i].add(draft_seconds[i]);
        if (int64_t(i) <= accepted) accepted_[i] += kNewest * ((int64_t(i) < accepted ? 1.0 : 0.0) - accepted_[i]);
    }
}

}  // namespace vks
