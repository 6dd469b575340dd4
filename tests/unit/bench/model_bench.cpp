// Which tests bench model runs, the drafts it forces, and the bytes that a step is expected to read.
#include "frontend/bench/model_bench.h"

#include <gtest/gtest.h>

#include "frontend/bench/bytes_model.h"
#include "frontend/model/inspect.h"
#include "frontend/model/shapes.h"
#include "tests/unit/gen/test_engine.h"

namespace vks::bench {
namespace {

TEST(ModelTests, AreNamedAsLlamaBenchDoes) {
    std::vector<std::string> names;
    for (const ModelTest& test : list_tests({{512, 0}, {128}, {0, 64}, 2, {0.5}})) names.push_back(test.name());
    EXPECT_EQ(names, (std::vector<std::string>{"pp512", "tg128", "tg128 mtp2 a0.5", "pp512 @ d64", "tg128 @ d64",
                                               "tg128 mtp2 a0.5 @ d64"}));
    EXPECT_EQ(context_of(list_tests({{512}, {128}, {0, 64}, 0, {1}})), 576);
    EXPECT_EQ(context_of(list_tests({{0}, {128}, {0}, 0, {1}})), 130);
}

TEST(ForcedDrafts, TheWantedPartOfThoseJudgedIsRight) {
    for (const double wanted : {0.0, 0.25, 0.85, 1.0})
        for (const int a_step : {1, 4}) {
            ForcedDrafts drafts(a_step, wanted);
            int judged = 0, right = 0;
            for (int step = 0; step < 1000; ++step) {
                bool before = true;
                for (int i = 0; i < a_step; ++i) {
                    const bool now = drafts.next();
                    EXPECT_TRUE(before || !now) << "right after a wrong one";
                    judged += before;
                    right += now;
                    before = now;
                }
            }
            EXPECT_NEAR(right, wanted * judged, 1) << wanted << " of " << a_step;
        }
}

TEST(ModelBench, ForcedAcceptanceIsWhatTheRunReports) {
    const auto made = test::drafting_engine(test::data("micro-mtp2/checkpoint"), 2, 2);
    ModelBench bench(*made.engine, 1);
    const auto accepted = [&](int64_t drafts, double acceptance) {
        const auto sample = bench.run({.generate = 40, .drafts = drafts, .acceptance = acceptance}, nullptr);
        EXPECT_TRUE(sample);
        return sample->mtp;
    };
    EXPECT_EQ(accepted(1, 1).acceptance(), 1);
    EXPECT_EQ(accepted(1, 0).accepted, 0);
    EXPECT_NEAR(accepted(1, 0.85).acceptance(), 0.85, 0.05);
    EXPECT_EQ(accepted(2, 1).steps, 14);  // three ids each, and one for the last
    EXPECT_EQ(accepted(0, 1).steps, 40);
}

// Rows of the first chunk are computed, the others are theirs, in turn; then a token that reads them all.
TEST(ModelBench, RepeatedRowsOfTheCache) {
    EngineOptions options;
    options.context = 64;
    options.chunk = 8;
    const auto made = test::test_engine(test::data("nano-fp8/checkpoint"), options);
    ModelBench bench(*made.engine, 1, true);
    for (const int64_t depth : {0, 5, 29}) {
        const auto sample = bench.run({.generate = 3, .depth = depth}, nullptr);
        ASSERT_TRUE(sample) << sample.error().text;
    }
    for (int64_t layer = 0; layer < made.engine->config().num_hidden_layers; ++layer) {
        const auto first = made.engine->cache(layer, 0, 8), second = made.engine->cache(layer, 8, 8),
                   third = made.engine->cache(layer, 16, 8), last = made.engine->cache(layer, 24, 4);
        ASSERT_TRUE(first && second && third && last);
        EXPECT_EQ(*first, *second);
        EXPECT_EQ(*first, *third);
        EXPECT_TRUE(std::equal(last->begin(), last->end(), first->begin()));
        EXPECT_NE(*made.engine->cache(layer, 0, 1), *made.engine->cache(layer, 1, 1));
    }
}

TEST(ModelBench, RunsPromptsAtADepthAgainAndAgain) {
    const auto made = test::drafting_engine(test::data("micro-mtp2/checkpoint"), 2, 2);
    ModelBench bench(*made.engine, 1);
    for (const int64_t depth : {0, 8})
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(bench.run({.prompt = 16, .depth = depth}, nullptr));
}

// What ran in between leaves fewer rows in the cache.
TEST(ModelBench, ATestComesBackAfterAShallowerOne) {
    EngineOptions options;
    options.context = 64;
    options.chunk = 8;
    const auto made = test::test_engine(test::data("nano-fp8/checkpoint"), options);
    for (const bool repeated : {false, true}) {
        ModelBench bench(*made.engine, 1, repeated);
        for (const int64_t depth : {30, 0, 30, 30}) {
            const auto generated = bench.run({.generate = 4, .depth = depth}, nullptr);
            ASSERT_TRUE(generated) << generated.error().text;
        }
        for (const int64_t depth : {30, 2, 30}) {
            const auto prompt = bench.run({.prompt = 4, .depth = depth}, nullptr);
            ASSERT_TRUE(prompt) << prompt.error().text;
        }
    }
}

TEST(BytesModel, DistinctExperts) {
    EXPECT_EQ(expected_experts(64, 8, 5, Routing::kCoincide), 8);
    EXPECT_DOUBLE_EQ(expected_experts(64, 8, 1, Routing::kIndependent), 8);
    EXPECT_DOUBLE_EQ(expected_experts(64, 8, 2, Routing::kIndependent), 15);
    EXPECT_EQ(expected_experts(0, 0, 2, Routing::kIndependent), 0);
}

TEST(BytesModel, AStepReadsTheActiveParametersOnce) {
    const auto shape = named_shape("bench-m");
    ASSERT_TRUE(shape);
    const StepWork one = step_work(*shape, 0, 1, 1, 0, Routing::kIndependent);
    EXPECT_NEAR(one.flops, 2.0 * double(shape_stats(*shape).active_parameters), 0.001 * one.flops);
    EXPECT_GT(one.bytes, double(shape_stats(*shape).active_parameters));        // FP8 and its scales
    EXPECT_LT(one.bytes, 1.2 * double(shape_stats(*shape).active_parameters));  // some are bf16
    const StepWork two = step_work(*shape, 0, 2, 2, 0, Routing::kCoincide);
    EXPECT_LT(two.bytes, 1.001 * one.bytes);
    EXPECT_DOUBLE_EQ(two.flops, 2 * one.flops);
    EXPECT_GT(step_work(*shape, 0, 2, 2, 0, Routing::kIndependent).bytes, 1.2 * one.bytes);
}

TEST(BytesModel, GainOfDrafts) {
    EXPECT_DOUBLE_EQ(tokens_per_step(2, 0.5), 1.75);
    EXPECT_EQ(tokens_per_step(0, 0.5), 1);
    auto shape = named_shape("bench-m");
    ASSERT_TRUE(shape);
    shape = override_shape(*shape, {.layers = 44, .mtp = 1});
    ASSERT_TRUE(shape);
    const double coincide = drafting_gain(*shape, 1, 1, 0, Routing::kCoincide);
    EXPECT_GT(coincide, 1.8);
    EXPECT_LT(coincide, 2);
    EXPECT_LT(drafting_gain(*shape, 1, 1, 0, Routing::kIndependent), coincide);
}

}  // namespace
}  // namespace vks::bench
