#include "frontend/gen/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/base/bad_input.h"

namespace vks {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27;
    x *= 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

// Infinities have no differences.
float finite(float logit) {
    return std::clamp(logit, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max());
}

// Whether a comes after b: a strict order, so that the outcome doesn't depend on the heap's inner workings.
constexpr auto after = [](const auto& a, const auto& b) {
    return a.weight != b.weight ? a.weight < b.weight : a.id > b.id;
};

}  // namespace

double sampling_noise(uint64_t seed, uint64_t position) {
    constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
    const uint64_t bits = mix(mix(seed + kGolden) + (position + 1) * kGolden);
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

int32_t argmax(std::span<const float> row) {
    size_t best = 0;
    float value = -std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < row.size(); ++i) {
        if (row[i] > value) {
            best = i;
            value = row[i];
        }
    }
    return static_cast<int32_t>(best);
}

Status refuse_nan(std::span<const float> logits, int64_t position) {
    for (size_t i = 0; i < logits.size(); ++i) {
        if (!std::isnan(logits[i])) continue;
        return bad_input("logits (position {}): wanted numbers, found NaN for token {}", position, i);
    }
    return {};
}

void Sampler::penalise(std::span<const int32_t> before) {
    using Limits = std::numeric_limits<float>;
    const double in_range = std::clamp<double>(options_.repeat_penalty, Limits::min(), Limits::max());
    const auto penalty = static_cast<float>(in_range);
    std::vector<bool> seen(row_.size());
    for (const int32_t id : before) {
        const size_t i = static_cast<size_t>(id);
        if (id < 0 || i >= row_.size() || seen[i]) continue;
        seen[i] = true;
        row_[i] = finite(row_[i] < 0 ? row_[i] * penalty : row_[i] / penalty);
    }
}

// Applies top-k; makes the rest a heap, of which rarely more than a few are needed. Returns what they weigh together.
double Sampler::arrange() {
    std::vector<Candidate>& all = candidates_;
    if (options_.top_k > 0 && options_.top_k < static_cast<int64_t>(all.size())) {
        const auto cut = all.begin() + options_.top_k;
        std::nth_element(all.begin(), cut, all.end(), [](const auto& a, const auto& b) { return after(b, a); });
        all.erase(cut, all.end());
    }
    std::make_heap(all.begin(), all.end(), after);
    double total = 0;
    for (const Candidate& c : all) total += c.weight;
    return total;
}

// Applies top-p and min-p: moves what they leave behind the heap, the likeliest first.
Sampler::Kept Sampler::restrict(double total) {
    std::vector<Candidate>& all = candidates_;
    const double likeliest = all.front().weight;
    const double wanted = options_.top_p < 1 ? options_.top_p * total : std::numeric_limits<double>::infinity();
    Kept kept = {all.end(), 0};
    do {
        std::pop_heap(all.begin(), kept.first, after);
        kept.sum += (--kept.first)->weight;
    } while (kept.first != all.begin() && kept.sum < wanted && all.front().weight > 0 &&
             all.front().weight >= options_.min_p * likeliest);
    return kept;
}

// Inverse of the cumulative distribution, the likeliest first.
int32_t Sampler::draw(double noise) {
    std::vector<Candidate>& all = candidates_;
    const double total = arrange();
    if (restricted()) {
        const Kept kept = restrict(total);
        double rest = noise * kept.sum;
        for (auto c = all.end(); --c != kept.first;) {
            rest -= c->weight;
            if (rest < 0) return c->id;
        }
        return kept.first->id;
    }
    double sum = 0;
    for (auto heap_end = all.end(); heap_end != all.begin();) {
        std::pop_heap(all.begin(), heap_end, after);
        sum += (--heap_end)->weight;
        if (sum > noise * total && heap_end->weight > 0) return heap_end->id;
    }
    return all.back().id;  // rounding made the sum fall short of the total
}

// Fills row_.
Status Sampler::prepare(std::span<const float> logits, int64_t position, std::span<const int32_t> before) {
    VKS_TRY(refuse_nan(logits, position - 1));
    row_.assign(logits.begin(), logits.end());
    for (float& logit : row_) logit = finite(logit);
    if (options_.repeat_penalty != 1) penalise(before);
    return {};
}

// Fills candidates_ from row_.
void Sampler::weigh() {
    const double largest = row_[static_cast<size_t>(argmax(row_))];
    candidates_.clear();
    for (size_t i = 0; i < row_.size(); ++i) {
        const double weight = std::exp((static_cast<double>(row_[i]) - largest) / options_.temperature);
        candidates_.push_back({weight, static_cast<int32_t>(i)});
    }
}

Result<int32_t> Sampler::sample(std::span<const float> logits, int64_t position, std::span<const int32_t> before) {
    if (options_.temperature <= 0 && options_.repeat_penalty == 1) {  // nothing to prepare: devices rest meanwhile
        VKS_TRY(refuse_nan(logits, position - 1));
        return argmax(logits);
    }
    VKS_TRY(prepare(logits, position, before));
    if (options_.temperature <= 0) return argmax(row_);
    weigh();
    return draw(sampling_noise(options_.seed, static_cast<uint64_t>(position)));
}

Result<std::vector<double>> Sampler::probabilities(std::span<const float> logits, int64_t position,
                                                   std::span<const int32_t> before) {
    CHECK(options_.temperature > 0, "probabilities at temperature {}", options_.temperature);
    VKS_TRY(prepare(logits, position, before));
    weigh();
    const double total = arrange();
    const Kept kept = restricted() ? restrict(total) : Kept{candidates_.begin(), total};
    std::vector<double> all(logits.size());
    for (auto c = kept.first; c != candidates_.end(); ++c) all[static_cast<size_t>(c->id)] = c->weight / kept.sum;
    return all;
}

}  // namespace vks
