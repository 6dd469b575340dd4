// The engine changing its placement between steps: same logits, same caches, and the memory of one placement.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

const std::filesystem::path kModel = test::data("nano-fp8/checkpoint");
const Placement kCpu = {{"cpu"}, {}, {}};
const Placement kRemote = {{"remote", "cpu"}, {}, {}};
constexpr int64_t kContext = 32;

struct Swapping : testing::Test {
    static test::TestEngine engine(int modules = 0, int64_t draft = 0) {
        EngineOptions options;
        options.context = kContext;
        options.chunk = 8;
        options.mtp = modules;
        options.draft = draft;
        return test::test_engine(kModel, options, {test::cpu_dir(), test::test_dir()});
    }
    // Runs id 3 at `position`.
    static std::vector<float> one(Engine& engine, int64_t position) {
        const int32_t id = 3;
        const Status ran = engine.verify({&id, 1}, position);
        EXPECT_TRUE(ran) << ran.error().text;
        auto logits = engine.logits();
        EXPECT_TRUE(logits);
        return *logits;
    }
    static Swap change(Engine& engine, const Placement& to) {
        const Status begun = engine.prepare(to);
        EXPECT_TRUE(begun) << begun.error().text;
        auto swap = engine.commit();
        CHECK(swap, "{}", swap.error().text);
        return *swap;
    }
    static double worst(const std::vector<float>& a, const std::vector<float>& b) {
        double most = 0;
        for (size_t i = 0; i < b.size(); ++i) most = std::max(most, std::abs(double(a.at(i)) - b[i]));
        return a.size() == b.size() ? most : INFINITY;
    }
    const std::vector<int32_t> prompt{5, 9, 2, 7, 7, 1};
};

TEST_F(Swapping, ThereAndBackGivesTheSameLogitsAndMemory) {
    const auto stays = engine(), moves = engine();
    ASSERT_TRUE(stays.engine->step(prompt, 0));
    ASSERT_TRUE(moves.engine->step(prompt, 0));
    const DeviceBytes alone = moves.engine->bytes_by_device();
    for (int64_t position = 6; position < 14; ++position) {
        const bool away = position % 2 == 0;
        const Swap swap = change(*moves.engine, away ? kRemote : kCpu);
        EXPECT_TRUE(swap.changed);
        EXPECT_EQ(swap.rows, std::vector<int64_t>{position});
        EXPECT_EQ(swap.before, position == 6 ? alone : swap.before);
        EXPECT_EQ(swap.after, moves.engine->bytes_by_device());
        EXPECT_EQ(moves.engine->where().at("rms_norm"), away ? "remote:0" : "cpu");
        EXPECT_EQ(swap.after == alone, !away);
        EXPECT_LT(worst(one(*moves.engine, position), one(*stays.engine, position)), 1e-4) << position;
    }
}

TEST_F(Swapping, TheCachesGoAlong) {
    const auto stays = engine(), moves = engine();
    ASSERT_TRUE(stays.engine->step(prompt, 0));
    ASSERT_TRUE(moves.engine->step(prompt, 0));
    // The cache's writer elsewhere: there and here; everything back: here only. On the way nothing is lost.
    Placement append = kCpu;
    append.op_backend["mla_rope_append"] = "remote:1";
    const uint64_t rows = 6 * uint64_t(moves.engine->config().kv_cache_width()) * sizeof(float);
    const auto layers = uint64_t(moves.engine->config().num_hidden_layers);
    EXPECT_EQ(change(*moves.engine, append).moved_bytes, rows * layers);
    EXPECT_GT(moves.engine->bytes_by_device().at("remote:1"), 0u);
    EXPECT_EQ(change(*moves.engine, kCpu).moved_bytes, 0u);
    EXPECT_FALSE(moves.engine->bytes_by_device().contains("remote:1"));
    for (int64_t layer = 0; layer < int64_t(layers); ++layer)
        EXPECT_EQ(*moves.engine->cache(layer, 0, 6), *stays.engine->cache(layer, 0, 6)) << layer;
}

TEST_F(Swapping, WhereItIsAlreadyItCostsNothing) {
    const auto made = engine();
    Engine& e = *made.engine;
    ASSERT_TRUE(e.step(prompt, 0));
    const DeviceBytes bytes = e.bytes_by_device();
    const std::vector<float> logits = *e.logits();
    Placement said_otherwise = kCpu;
    said_otherwise.backends = {"cpu:0"};
    said_otherwise.op_backend["embed"] = "cpu";
    const Swap swap = change(e, said_otherwise);
    EXPECT_FALSE(swap.changed);
    EXPECT_EQ(swap.moved_bytes, 0u);
    EXPECT_EQ(e.bytes_by_device(), bytes);
    EXPECT_EQ(e.peak_bytes(), bytes);
    EXPECT_EQ(*e.logits(), logits);  // still those plans
    EXPECT_EQ(e.placement(), said_otherwise);
}

TEST_F(Swapping, WhatCantBeBuiltLeavesAllAsItWas) {
    const auto stays = engine(), moves = engine();
    ASSERT_TRUE(stays.engine->step(prompt, 0));
    ASSERT_TRUE(moves.engine->step(prompt, 0));
    Engine& e = *moves.engine;
    const DeviceBytes bytes = e.bytes_by_device();
    EXPECT_FALSE(e.prepare({{"nosuch"}, {}, {}}));
    // Known, but alone it can't do everything.
    ASSERT_TRUE(e.prepare({{"remote"}, {}, {}}));
    const auto refused = e.commit();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kNoBackend);
    EXPECT_NE(refused.error().text.find("wanted a backend that supports it"), std::string::npos);
    EXPECT_EQ(e.placement(), kCpu);
    EXPECT_EQ(e.bytes_by_device(), bytes);
    EXPECT_EQ(one(e, 6), one(*stays.engine, 6));
    EXPECT_TRUE(change(e, kRemote).changed);  // and another can
}

// Steps go on while plans are made.
TEST_F(Swapping, InTheBackground) {
    const auto stays = engine(), moves = engine();
    ASSERT_TRUE(stays.engine->step(prompt, 0));
    ASSERT_TRUE(moves.engine->step(prompt, 0));
    ASSERT_TRUE(moves.engine->prepare(kRemote));
    for (int64_t position = 6; position < 12; ++position)
        EXPECT_EQ(one(*moves.engine, position), one(*stays.engine, position));
    ASSERT_TRUE(moves.engine->prepare({{"cpu"}, {{"rms_norm", "remote"}}, {}}));  // on second thoughts
    const auto swap = moves.engine->commit();
    ASSERT_TRUE(swap);
    EXPECT_EQ(swap->rows, std::vector<int64_t>{12});
    EXPECT_EQ(moves.engine->where().at("rms_norm"), "remote:0");
    EXPECT_EQ(moves.engine->where().at("embed"), "cpu");
    EXPECT_LT(worst(one(*moves.engine, 12), one(*stays.engine, 12)), 1e-4);
    ASSERT_TRUE(moves.engine->prepare(kCpu));  // and ended while one is being made
}

TEST_F(Swapping, MtpModulesMoveToo) {
    const auto stays = engine(1, 2), moves = engine(1, 2);
    const std::vector<int32_t> next{9, 2, 7, 7, 1, 4};
    for (Engine* e : {stays.engine.get(), moves.engine.get()}) {
        ASSERT_TRUE(e->step(prompt, 0));
        ASSERT_TRUE(e->mtp_step(1, next));
    }
    EXPECT_EQ(change(*moves.engine, kRemote).rows, (std::vector<int64_t>{6, 6}));
    const int32_t id = 4, after = 8;
    std::vector<std::vector<float>> logits;
    for (Engine* e : {stays.engine.get(), moves.engine.get()}) {
        ASSERT_TRUE(e->verify({&id, 1}, 6));
        ASSERT_TRUE(e->mtp_step(1, {&after, 1}));
        logits.push_back(*e->mtp_logits(1));
    }
    EXPECT_LT(worst(logits[1], logits[0]), 1e-4);
}

}  // namespace
}  // namespace vks
