// Acceptance by rejection: the outcome has the model's distribution, whatever the drafts'.
#include "frontend/gen/speculative.h"

#include <cmath>
#include <functional>
#include <map>

#include "tests/support/rewrite_checkpoint.h"
#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

using Judge = std::function<int32_t(std::span<const double>, std::span<const double>, int32_t, uint64_t, int64_t)>;
using Row = std::vector<double>;

const std::vector<int32_t> kPrompt = {0, 5, 17, 3, 99, 41};
constexpr int64_t kFirst = 6;  // position of the first token

// The distributions of micro-mtp2 after kPrompt: of the model and of the drafts, for the first token and, by it, for
// the second. A second draft follows an accepted first one within its step, or begins a step of its own.
class Tables {
public:
    explicit Tables(const SamplingOptions& options)
        : made_(test::drafting_engine(test::data("micro-mtp2/checkpoint"), 2, 2)), sampler_(options) {
        sequence_.emplace(*made_.engine, 2);
        const auto head = std::span(kPrompt).first(kPrompt.size() - 1);
        sequence_->begin(head);
        EXPECT_TRUE(sequence_->run(std::ssize(head)));
        EXPECT_TRUE(sequence_->catch_up(std::ssize(head)));
        sequence_->push(kPrompt.back());
        draft = row(*sequence_->draft());
        target = with(0).first;
    }
    struct Second {
        Row target, chained, fresh;
    };
    const Second& second(int32_t first) {
        auto [found, isNew] = second_.try_emplace(first);
        if (isNew) with(first, &found->second);
        return found->second;
    }
    Row draft, target;

private:
    Row row(std::span<const float> logits) { return *sampler_.probabilities(logits, kFirst, {}); }
    // The first and second rows of a step in which `first` was drafted.
    std::pair<Row, Row> with(int32_t first, Second* second = nullptr) {
        sequence_->push(first);
        const Row chained = row(*sequence_->draft());
        EXPECT_TRUE(sequence_->verify());
        const std::vector<float> logits = *made_.engine->logits();
        const auto middle = std::span(logits).size() / 2;
        const std::pair<Row, Row> rows = {row(std::span(logits).first(middle)), row(std::span(logits).last(middle))};
        sequence_->truncate(kFirst);
        if (second) {
            sequence_->push(first);
            *second = {rows.second, chained, row(*sequence_->draft())};
        }
        // As before: the last id of the prompt has not run.
        sequence_->truncate(kFirst - 1);
        sequence_->push(kPrompt.back());
        EXPECT_TRUE(sequence_->draft());
        return rows;
    }

    test::TestEngine made_;
    std::optional<Sequence> sequence_;
    Sampler sampler_;
    std::map<int32_t, Second> second_;
};

std::pair<int32_t, int32_t> two_tokens(Tables& tables, uint64_t seed, const Judge& judge) {
    const int32_t drafted = draw_id(tables.draft, draft_noise(seed, kFirst));
    const int32_t first = judge(tables.target, tables.draft, drafted, seed, kFirst);
    const Tables::Second& then = tables.second(first);
    const Row& draft = first == drafted ? then.chained : then.fresh;
    return {first, judge(then.target, draft, draw_id(draft, draft_noise(seed, kFirst + 1)), seed, kFirst + 1)};
}

// Pearson's test, rare outcomes taken together: how likely counts are that far off, by Wilson and Hilferty.
double p_value(const std::vector<int64_t>& counts, const Row& probabilities, int64_t total) {
    double sum = 0, rare_expected = 0, rare_count = 0;
    int64_t cells = 0;
    const auto add = [&](double count, double expected) {
        sum += (count - expected) * (count - expected) / expected;
        ++cells;
    };
    for (size_t i = 0; i < probabilities.size(); ++i) {
        const double expected = probabilities[i] * double(total);
        if (expected >= 10) {
            add(double(counts[i]), expected);
        } else {
            rare_expected += expected;
            rare_count += double(counts[i]);
        }
    }
    if (rare_expected > 0) add(rare_count, rare_expected);
    if (rare_expected == 0 && rare_count > 0) return 0;  // what can't come came
    const double freedom = double(cells - 1), spread = 2 / (9 * freedom);
    const double z = (std::cbrt(sum / freedom) - (1 - spread)) / std::sqrt(spread);
    return 0.5 * std::erfc(z / std::sqrt(2));
}

struct PValues {
    double first, second;
};

PValues test_rule(Tables& tables, int64_t samples, const Judge& judge) {
    const size_t vocab = tables.target.size();
    std::vector<int64_t> first(vocab), second(vocab);
    for (int64_t seed = 0; seed < samples; ++seed) {
        const auto [a, b] = two_tokens(tables, uint64_t(seed), judge);
        ++first[size_t(a)];
        ++second[size_t(b)];
    }
    Row marginal(vocab);
    for (size_t a = 0; a < vocab; ++a) {
        if (tables.target[a] == 0) continue;
        const Row& then = tables.second(int32_t(a)).target;
        for (size_t b = 0; b < vocab; ++b) marginal[b] += tables.target[a] * then[b];
    }
    return {p_value(first, tables.target, samples), p_value(second, marginal, samples)};
}

class Rejection : public testing::TestWithParam<double> {
protected:
    static SamplingOptions sampling() {
        SamplingOptions options;
        options.temperature = 1;
        options.top_p = GetParam();
        return options;
    }
};

TEST_P(Rejection, GivesTheModelsDistribution) {
    Tables tables(sampling());
    const PValues p = test_rule(tables, 200'000, judge_by_rejection);
    RecordProperty("first", std::to_string(p.first));
    RecordProperty("second", std::to_string(p.second));
    EXPECT_GT(p.first, 0.01);
    EXPECT_GT(p.second, 0.01);
}

// The test above would notice.
TEST_P(Rejection, BrokenRulesDoNot) {
    Tables tables(sampling());
    const Judge accept_all = [](auto, auto, int32_t drafted, auto, auto) { return drafted; };
    const Judge plain_replacement = [](std::span<const double> target, std::span<const double> draft, int32_t drafted,
                                       uint64_t seed, int64_t position) {
        const bool accepted = judge_by_rejection(target, draft, drafted, seed, position) == drafted;
        return accepted ? drafted : draw_id(target, sampling_noise(seed, uint64_t(position)));
    };
    for (const Judge& judge : {accept_all, plain_replacement}) {
        const PValues p = test_rule(tables, 200'000, judge);
        EXPECT_LT(p.first, 0.01);
        EXPECT_LT(p.second, 0.01);
    }
}

// What is measured above is what runs.
TEST_P(Rejection, IsWhatTheSpeculatorDoes) {
    Tables tables(sampling());
    const auto made = test::drafting_engine(test::data("micro-mtp2/checkpoint"), 2, 2);
    SpeculationOptions options;
    options.most = 2;
    options.rule = AcceptRule::kRejection;
    DraftLength length(2);
    int64_t accepted = 0, drafted = 0;
    for (uint64_t seed = 0; seed < 60; ++seed) {
        SamplingOptions with_seed = sampling();
        with_seed.seed = seed;
        Sampler sampler(with_seed);
        Sequence sequence(*made.engine, 2);
        const auto head = std::span(kPrompt).first(kPrompt.size() - 1);
        sequence.begin(head);
        ASSERT_TRUE(sequence.run(std::ssize(head)));
        sequence.push(kPrompt.back());
        Speculator speculator(sequence, sampler, options, length);
        std::vector<int32_t> ids;
        while (ids.size() < 2) {
            if (speculator.used_up()) {
                ASSERT_TRUE(speculator.step(2));
            }
            ids.push_back(*speculator.next());
        }
        EXPECT_EQ((std::pair{ids[0], ids[1]}), two_tokens(tables, seed, judge_by_rejection)) << seed;
        accepted += speculator.stats().accepted;
        drafted += speculator.stats().drafted;
    }
    EXPECT_GT(accepted, 10);
    EXPECT_LT(accepted, drafted - 10);
}

INSTANTIATE_TEST_SUITE_P(TopP, Rejection, testing::Values(1.0, 0.9),
                         [](const auto& info) { return info.param < 1 ? "Nucleus" : "All"; });

// The answer is the same with and without drafts, also where the module can't draft.
TEST(Speculator, NaNOfAModuleIsNoDraft) {
    const test::TempDir dir;
    test::rewrite_checkpoint("nano-fp8", dir / "m", [](test::StoredTensor& tensor) {
        if (tensor.info.name == "model.layers.3.enorm.weight") tensor.bytes.replace(0, 2, "\xc0\x7f");
        return true;
    });
    const auto made = test::drafting_engine(dir / "m", 1, 1);
    const auto ids_with = [&](int64_t most) {
        SpeculationOptions options;
        options.most = most;
        DraftLength length(most);
        Sampler sampler({});
        Sequence sequence(*made.engine, 1);
        sequence.begin(kPrompt);
        EXPECT_TRUE(sequence.run(std::ssize(kPrompt)));
        Speculator speculator(sequence, sampler, options, length);
        EXPECT_TRUE(speculator.begin());
        for (int i = 0; i < 6; ++i) {
            if (speculator.used_up()) {
                const Status stepped = speculator.step(most);
                EXPECT_TRUE(stepped) << stepped.error().text;
            }
            const auto id = speculator.next();
            EXPECT_TRUE(id) << id.error().text;
        }
        EXPECT_EQ(speculator.stats().drafted, 0);
        return std::vector<int32_t>(sequence.ids().begin(), sequence.ids().end());
    };
    EXPECT_EQ(ids_with(1), ids_with(0));
}

TEST(DrawId, InvertsTheCumulativeDistribution) {
    const Row row = {0, 0.25, 0.5, 0, 0.25, 0};
    for (const auto& [noise, id] : {std::pair{0.0, 1}, {0.2, 1}, {0.25, 2}, {0.74, 2}, {0.75, 4}, {0.999, 4}, {1.5, 4}})
        EXPECT_EQ(draw_id(row, noise), id) << noise;
}

}  // namespace
}  // namespace vks
