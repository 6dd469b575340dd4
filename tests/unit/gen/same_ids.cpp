// Random prompts, greedy and with a seed, without drafts, with 1, 2 and 4 a step and with as many as seem to pay: ids
// are the same, and on the CPU plugin so are the bits of every row of logits.
//
// For longer runs $VKSEEK_TEST_PROMPTS says how many prompts, $VKSEEK_TEST_BACKEND where (docs/mtp.md).
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <random>

#include "frontend/gen/generator.h"
#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

constexpr int64_t kMost = 4, kTokens = 20, kLongest = 40;

std::string from_environment(const char* name, const char* otherwise) {
    const char* given = std::getenv(name);
    return given ? given : otherwise;
}

struct Outcome {
    std::vector<int32_t> ids;
    std::vector<uint64_t> rows;  // a hash of each row's bits
    SpeculationStats mtp;
};

uint64_t hash(std::span<const float> row) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const float value : row) hash = (hash ^ std::bit_cast<uint32_t>(value)) * 0x100000001b3;
    return hash;
}

class SameIds : public testing::TestWithParam<test::DraftingModel> {
protected:
    void SetUp() override {
        EngineOptions options;
        options.mtp = GetParam().modules;
        options.draft = kMost;
        options.context = kTokens + kLongest;
        options.placement.backends = {backend_};
        const std::filesystem::path beside = std::filesystem::path(VKS_TEST_PLUGIN).parent_path();
        made_ = test::test_engine(GetParam().path(), options, {backend_ == "cpu" ? test::cpu_dir() : beside});
    }

    // No drafts: those of -1 are as many as seem to pay.
    Outcome run(int64_t drafts, const std::vector<int32_t>& prompt, const SamplingOptions& sampling) {
        SpeculationOptions speculation;
        speculation.adapt = drafts < 0;
        speculation.most = speculation.adapt ? kMost : drafts;
        // Steps take now this, now that, so that all lengths are tried.
        if (speculation.adapt) speculation.clock = [this] { return now_ += double(times_() % 1000 + 1); };
        GenerateOptions options;
        options.max_tokens = kTokens;
        options.sampling = sampling;
        Outcome outcome;
        GenerateHooks hooks;
        hooks.row = [&](std::span<const float> row) { outcome.rows.push_back(hash(row)); };
        const auto out = Generator(*made_.engine, nullptr, speculation).run(prompt, options, hooks);
        CHECK(out, "{}", out.error().text);
        outcome.ids = out->ids;
        outcome.mtp = out->mtp;
        return outcome;
    }

    const std::string backend_ = from_environment("VKSEEK_TEST_BACKEND", "cpu");
    test::TestEngine made_;
    std::minstd_rand times_{1};
    double now_ = 0;
};

TEST_P(SameIds, WhateverIsDrafted) {
    const int prompts = std::stoi(from_environment("VKSEEK_TEST_PROMPTS", "40"));
    std::mt19937 random(42);
    std::map<int64_t, SpeculationStats> total;
    for (int i = 0; i < prompts; ++i) {
        std::vector<int32_t> prompt(1 + random() % kLongest);
        for (int32_t& id : prompt) id = int32_t(random() % uint32_t(made_.engine->config().vocab_size));
        for (const double temperature : {0.0, 0.8}) {
            SamplingOptions sampling;
            sampling.temperature = temperature;
            sampling.seed = random();
            const Outcome plain = run(0, prompt, sampling);
            ASSERT_EQ(std::ssize(plain.ids), kTokens);
            for (const int64_t drafts : {1, 2, 4, -1}) {
                SCOPED_TRACE(testing::Message()
                             << "prompt " << i << ", temperature " << temperature << ", drafts " << drafts);
                const Outcome out = run(drafts, prompt, sampling);
                ASSERT_EQ(out.ids, plain.ids);
                if (backend_ == "cpu") {
                    ASSERT_EQ(out.rows, plain.rows);
                }
                total[drafts].drafted += out.mtp.drafted;
                total[drafts].accepted += out.mtp.accepted;
            }
        }
    }
    for (const auto& [drafts, mtp] : total) {
        EXPECT_GT(mtp.drafted, 0) << drafts;
        EXPECT_LT(mtp.accepted, mtp.drafted) << drafts;
        RecordProperty("drafts_" + std::to_string(drafts),
                       std::to_string(mtp.accepted) + " of " + std::to_string(mtp.drafted) + " accepted");
    }
    if (GetParam().name == std::string("micro") || GetParam().name == std::string("demo")) {
        EXPECT_GT(total[1].accepted, 0);
    }
}

INSTANTIATE_TEST_SUITE_P(Models, SameIds, testing::Values(test::kMicro, test::kNano, test::kBf16, test::kDemo),
                         test::drafting_name);

}  // namespace
}  // namespace vks
