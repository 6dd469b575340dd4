#include "frontend/gen/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace vks {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

int32_t sample(const SamplingOptions& options, const std::vector<float>& logits, int64_t position = 5,
               const std::vector<int32_t>& before = {}) {
    const auto id = Sampler(options).sample(logits, position, before);
    EXPECT_TRUE(id);
    return id ? *id : -1;
}

// How often each id comes in `count` draws at successive positions.
std::map<int32_t, int> draws(const SamplingOptions& options, const std::vector<float>& logits, int count) {
    Sampler sampler(options);
    std::map<int32_t, int> counts;
    for (int position = 0; position < count; ++position) {
        const auto id = sampler.sample(logits, position, {});
        if (id) ++counts[*id];
    }
    return counts;
}

std::set<int32_t> ids(const std::map<int32_t, int>& counts) {
    std::set<int32_t> set;
    for (const auto& [id, count] : counts) set.insert(id);
    return set;
}

// Logits of a distribution.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
    std::vector<float> logits;
    for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
    return logits;
}

// Pearson's statistic of `counts` against `probabilities`.
double chi_square(const std::map<int32_t, int>& counts, const std::vector<double>& probabilities, int total) {
    double sum = 0;
    for (size_t i = 0; i < probabilities.size(); ++i) {
        const auto found = counts.find(static_cast<int32_t>(i));
        const double expected = probabilities[i] * total, count = found == counts.end() ? 0 : found->second;
        sum += (count - expected) * (count - expected) / expected;
    }
    return sum;
}

const std::vector<double> kFive = {0.1, 0.4, 0.05, 0.25, 0.2};

TEST(Sampler, GreedyTakesTheLargestAndTheLowestAmongEquals) {
    EXPECT_EQ(sample({}, {1, 3, 2}), 1);
    EXPECT_EQ(sample({}, {1, 3, 3, 3}), 1);
    EXPECT_EQ(sample({}, {-kInfinity, -kInfinity}), 0);
    EXPECT_EQ(sample({}, {0, kInfinity, -kInfinity}), 1);
}

TEST(Sampler, NaNIsAnError) {
    for (const double temperature : {0.0, 1.0}) {
        SamplingOptions options;
        options.temperature = temperature;
        const auto id = Sampler(options).sample(std::vector<float>{0, NAN, 1}, 8, {});
        ASSERT_FALSE(id);
        EXPECT_EQ(id.error().code, Code::kBadInput);
        EXPECT_EQ(id.error().text, "logits (position 7): wanted numbers, found NaN for token 1");
    }
}

TEST(Sampler, DrawsTheDistribution) {
    constexpr int kDraws = 200000;
    SamplingOptions options;
    options.temperature = 1;
    for (const uint64_t seed : {0U, 1U, 12345U}) {
        options.seed = seed;
        // 4 degrees of freedom: above 23.5 once in 10,000.
        EXPECT_LT(chi_square(draws(options, logits_of(kFive), kDraws), kFive, kDraws), 23.5) << seed;
    }
}

TEST(Sampler, TemperatureScalesLogits) {
    constexpr int kDraws = 100000;
    SamplingOptions options;
    options.temperature = 0.5;  // squares probabilities
    std::vector<double> squared;
    double sum = 0;
    for (const double p : kFive) sum += p * p;
    for (const double p : kFive) squared.push_back(p * p / sum);
    EXPECT_LT(chi_square(draws(options, logits_of(kFive), kDraws), squared, kDraws), 23.5);
    options.temperature = 1e-9;
    EXPECT_EQ(ids(draws(options, logits_of(kFive), 100)), std::set<int32_t>{1});
}

TEST(Sampler, TopKKeepsTheLikeliest) {
    SamplingOptions options;
    options.temperature = 1;
    options.top_k = 2;
    EXPECT_EQ(ids(draws(options, logits_of(kFive), 2000)), (std::set<int32_t>{1, 3}));
    options.top_k = 1;
    EXPECT_EQ(ids(draws(options, {1, 2, 2, 2}, 200)), std::set<int32_t>{1});
    options.top_k = 99;
    EXPECT_EQ(ids(draws(options, logits_of(kFive), 2000)).size(), 5U);
}

TEST(Sampler, TopPKeepsTheOneThatCrosses) {
    constexpr int kDraws = 100000;
    SamplingOptions options;
    options.temperature = 1;
    options.top_p = 0.6;  // 0.4, 0.25
    const auto counts = draws(options, logits_of(kFive), kDraws);
    EXPECT_EQ(ids(counts), (std::set<int32_t>{1, 3}));
    EXPECT_NEAR(counts.at(1) / static_cast<double>(kDraws), 0.4 / 0.65, 0.01);
    options.top_p = 1e-12;
    EXPECT_EQ(ids(draws(options, logits_of(kFive), 200)), std::set<int32_t>{1});
    // Counted within what top-k left: 0.4 of 0.65.
    options.top_k = 2;
    options.top_p = 0.6;
    EXPECT_EQ(ids(draws(options, logits_of(kFive), 2000)), std::set<int32_t>{1});
}

TEST(Sampler, MinPIsRelativeToTheLikeliest) {
    SamplingOptions options;
    options.temperature = 1;
    options.min_p = 0.45;  // of 0.4: 0.18
    EXPECT_EQ(ids(draws(options, logits_of(kFive), 2000)), (std::set<int32_t>{1, 3, 4}));
    options.min_p = 1;
    EXPECT_EQ(ids(draws(options, {2, 2, 1}, 2000)), (std::set<int32_t>{0, 1}));
}

TEST(Sampler, PenaltyDividesPositiveAndMultipliesNegativeLogitsOnce) {
    SamplingOptions options;
    options.repeat_penalty = 2;
    EXPECT_EQ(sample(options, {3, 2, -9}, 5, {0, 0, 0}), 1);  // 1.5
    EXPECT_EQ(sample(options, {5, 2, -9}, 5, {0, 0, 0}), 0);  // 2.5: seen thrice, divided once
    EXPECT_EQ(sample(options, {-1, -1.5F, -9}, 5, {0}), 1);   // -2
    EXPECT_EQ(sample(options, {3, 2, -9}, 5, {-4, 77}), 0);   // ids of no logit
}

// Beyond what a float holds, too, nothing becomes NaN.
TEST(Sampler, PenaltyMayBeTinyOrHuge) {
    SamplingOptions options;
    options.temperature = 1;
    for (const double penalty : {1e-39, 1e-60, 1e60}) {
        options.repeat_penalty = penalty;
        const std::vector<float> logits = {3, 0, -2, 1, kInfinity, -kInfinity};
        const std::vector<int32_t> before = {0, 1, 2, 4, 5};
        const auto probabilities = Sampler(options).probabilities(logits, 5, before);
        ASSERT_TRUE(probabilities);
        double sum = 0;
        for (const double p : *probabilities) sum += p;
        EXPECT_NEAR(sum, 1, 1e-12) << penalty;
    }
}

TEST(Sampler, ImpossibleTokensNeverCome) {
    SamplingOptions options;
    options.temperature = 1;
    for (const double top_p : {1.0, 0.9999999999999999}) {
        options.top_p = top_p;
        EXPECT_EQ(ids(draws(options, {-kInfinity, 0, -kInfinity, 0, -1e30F}, 5000)), (std::set<int32_t>{1, 3}));
    }
}

TEST(Sampler, DependsOnSeedAndPositionOnly) {
    SamplingOptions options;
    options.temperature = 1;
    const std::vector<float> flat(1000, 0.0F);
    Sampler used(options);
    for (int64_t position = 0; position < 50; ++position) ASSERT_TRUE(used.sample(flat, position, {}));
    for (const int64_t position : {7, 3, 49}) {
        EXPECT_EQ(*used.sample(flat, position, {}), sample(options, flat, position)) << position;
    }
    EXPECT_NE(sample(options, flat, 1), sample(options, flat, 2));
    SamplingOptions other = options;
    other.seed = 1;
    EXPECT_NE(sample(options, flat, 1), sample(other, flat, 1));
}

// What a seed gives is part of what users rely on: the same text tomorrow.
TEST(SamplingNoise, IsTheSameForEver) {
    EXPECT_EQ(sampling_noise(0, 0), 0.6524484863740322);
    EXPECT_EQ(sampling_noise(3, 1000), 0.6522576696004924);
    for (uint64_t seed = 0; seed < 3; ++seed) {
        for (uint64_t position = 0; position < 100; ++position) {
            EXPECT_GE(sampling_noise(seed, position), 0);
            EXPECT_LT(sampling_noise(seed, position), 1);
        }
    }
}

TEST(SamplingNoise, SpreadsEvenlyOverSeedsAndPositions) {
    constexpr int kBins = 16, kSide = 512;
    std::vector<int> bins(kBins);
    for (uint64_t seed = 0; seed < kSide; ++seed) {
        for (uint64_t position = 0; position < kSide; ++position) {
            ++bins[static_cast<size_t>(sampling_noise(seed, position) * kBins)];
        }
    }
    const double expected = static_cast<double>(kSide) * kSide / kBins;
    double sum = 0;
    for (const int count : bins) sum += (count - expected) * (count - expected) / expected;
    EXPECT_LT(sum, 44.3);  // 15 degrees of freedom: once in 10,000
}

}  // namespace
}  // namespace vks
