#include "frontend/gen/speculative.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace vks {
namespace {

// Seeds of noise that is independent of the sampler's.
constexpr uint64_t kDraftStream = 0x6472616674, kAcceptStream = 0x616363657074, kResidualStream = 0x7265736964;

double machine_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int32_t draw_id(std::span<const double> probabilities, double noise) {
    double rest = noise;
    int32_t last = 0;
    for (size_t i = 0; i < probabilities.size(); ++i) {
        if (probabilities[i] <= 0) continue;
        last = int32_t(i);
        rest -= probabilities[i];
        if (rest < 0) break;
    }
    return last;
}

double draft_noise(uint64_t seed, int64_t position) {
    return sampling_noise(seed ^ kDraftStream, uint64_t(position));
}

int32_t judge_by_rejection(std::span<const double> target, std::span<const double> draft, int32_t drafted,
                           uint64_t seed, int64_t position) {
    const double noise = sampling_noise(seed ^ kAcceptStream, uint64_t(position));
    if (noise * draft[size_t(drafted)] < target[size_t(drafted)]) return drafted;
    std::vector<double> residual(target.size());
    for (size_t i = 0; i < target.size(); ++i) residual[i] = std::max(0.0, target[i] - draft[i]);
    const double sum = std::accumulate(residual.begin(), residual.end(), 0.0);
    for (double& p : residual) p /= sum;
    return draw_id(residual, sampling_noise(seed ^ kResidualStream, uint64_t(position)));
}

Speculator::Speculator(Sequence& sequence, Sampler& sampler, const SpeculationOptions& options, DraftLength& length)
    : sequence_(sequence),
      sampler_(sampler),
      options_(options),
      length_(length),
      clock_(options.clock ? options.clock : machine_seconds),
      vocab_(size_t(sequence.engine().config().vocab_size)) {
    stats_.most = options.most;
    stats_.adapt = options.adapt;
}

bool Speculator::by_rejection() const {
    return options_.rule == AcceptRule::kRejection && sampler_.options().temperature > 0;
}

Status Speculator::begin() {
    rows_ = sequence_.take_logits();
    rows_.erase(rows_.begin(), rows_.end() - std::ptrdiff_t(vocab_));  // more than one under all_rows
    base_ = std::ssize(sequence_.ids());
    at_ = next_ = 0;
    used_up_ = false;
    last_.reset();
    return {};
}

Result<int32_t> Speculator::choose_draft(std::span<const float> logits, int64_t position) {
    int32_t id = 0;
    if (by_rejection()) {
        VKS_ASSIGN(std::vector<double> probabilities, sampler_.probabilities(logits, position, sequence_.ids()));
        id = draw_id(probabilities, draft_noise(sampler_.options().seed, position));
        draft_probabilities_.push_back(std::move(probabilities));
    } else {
        // With the noise that will judge it: where both distributions are alike, so are the choices.
        VKS_ASSIGN(id, sampler_.sample(logits, position, sequence_.ids()));
    }
    return options_.replace ? options_.replace(position, id) : id;
}

Status Speculator::draft(int64_t count) {
    draft_probabilities_.clear();
    draft_seconds_.clear();
    for (int64_t i = 0; i < count; ++i) {
        const double start = clock_();
        VKS_ASSIGN(const std::vector<float> logits, sequence_.draft());
        const auto id = choose_draft(logits, std::ssize(sequence_.ids()));
        if (!id) {  // NaN, which the answer must not depend on: what there is is verified
            const double lost = clock_() - start;
            last_->row_seconds += lost;
            stats_.draft_seconds += lost;
            break;
        }
        sequence_.push(*id);
        draft_seconds_.push_back(clock_() - start);
        stats_.draft_seconds += draft_seconds_.back();
    }
    return {};
}

int64_t Speculator::count_drafts(int64_t most) {
    if (!options_.adapt) return std::min(most, options_.most);
    if (most == 0 || (options_.only_row_bits && !sequence_.engine().row_bits())) return 0;
    return std::min(most, length_.choose(sequence_.behind() > options_.most + 1 ? sequence_.behind() : 0));
}

// Rows that modules lack after steps without drafts; no part of what a draft costs.
Status Speculator::catch_up(int64_t count) {
    const bool wanted = count > 0 && sequence_.behind() > options_.most + 1;
    if (!wanted && !sequence_.keeps_much()) return {};
    const double start = clock_();
    last_->rows = sequence_.behind() - 1;
    VKS_TRY(sequence_.catch_up(sequence_.run_count() - 1));
    last_->row_seconds = clock_() - start;
    stats_.draft_seconds += last_->row_seconds;
    return {};
}

Status Speculator::step(int64_t most) {
    const int64_t count = count_drafts(most);
    base_ = std::ssize(sequence_.ids());
    last_.emplace();
    VKS_TRY(catch_up(count));
    VKS_TRY(draft(count));
    const double start = clock_();
    VKS_TRY(sequence_.verify());
    rows_ = sequence_.take_logits();
    last_->draft_seconds = draft_seconds_;
    const std::ptrdiff_t drafted = std::ssize(draft_seconds_);
    last_->verify_seconds = clock_() - start;
    stats_.verify_seconds += last_->verify_seconds;
    ++stats_.steps;
    stats_.drafted += drafted;
    stats_.drafted_at.resize(std::max(stats_.drafted_at.size(), size_t(drafted)));
    stats_.accepted_at.resize(stats_.drafted_at.size());
    for (size_t i = 0; i < size_t(drafted); ++i) {
        ++stats_.drafted_at[i];
    }
    next_ = 0;
    used_up_ = false;
    return {};
}

Result<int32_t> Speculator::judge(int64_t position, const int32_t* drafted) {
    if (options_.known) return options_.known(position);
    const auto before = sequence_.ids().first(size_t(position));
    if (!drafted || !by_rejection()) return sampler_.sample(row(), position, before);
    VKS_ASSIGN(const std::vector<double> target, sampler_.probabilities(row(), position, before));
    return judge_by_rejection(target, draft_probabilities_[at_], *drafted, sampler_.options().seed, position);
}

// Everything from `position` on was drafted in vain.
void Speculator::end_step(int64_t position) {
    const double start = clock_();
    sequence_.truncate(position);
    stats_.rollback_seconds += clock_() - start;
    used_up_ = true;
    if (!last_) return;
    last_->accepted = int64_t(at_);
    length_.record(*last_);
}

Result<int32_t> Speculator::next() {
    CHECK(!used_up_, "all {} rows used", rows_.size() / vocab_);
    at_ = next_++;
    const int64_t position = base_ + int64_t(at_);
    const bool is_drafted = position < std::ssize(sequence_.ids());
    const int32_t drafted = is_drafted ? sequence_.ids()[size_t(position)] : 0;
    VKS_ASSIGN(const int32_t id, judge(position, is_drafted ? &drafted : nullptr));
    if (is_drafted && id == drafted) {
        ++stats_.accepted;
        ++stats_.accepted_at[at_];
        return id;
    }
    end_step(position);
    sequence_.push(id);
    return id;
}

}  // namespace vks
