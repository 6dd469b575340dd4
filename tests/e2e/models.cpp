// The program against the golden models: logits and what leads to them, in every mode and chunking, and greedy ids.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/golden_run.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

class Models : public GoldenRun {
protected:
    Models() : GoldenRun("cpu") {}
};

TEST_P(Models, F32EqualsTheGoldensInAnyChunking) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        const std::vector<std::string> options = {"--math", "f32", "--trace", "--mtp"};
        const auto with_chunk = [&](const char* chunk) {
            std::vector<std::string> more = options;
            more.insert(more.end(), {"--chunk", chunk});
            return logits(prompt, more, fmt::format("chunk-{}", chunk));
        };
        const auto whole = logits(prompt, options, "whole");
        const auto ours = TensorFile::open(whole);
        ASSERT_TRUE(ours);
        expect_f32(*ours, prompt);
        const std::string bytes = read_bytes(whole);
        EXPECT_EQ(bytes, read_bytes(with_chunk("1")));
        EXPECT_EQ(bytes, read_bytes(with_chunk("7")));
    }
}

TEST_P(Models, HalfStaysNearTheGoldens) {
    int comparable = 0;
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        const auto ours = TensorFile::open(logits(prompt, {"--trace"}, "half"));
        ASSERT_TRUE(ours);
        comparable += expect_half(*ours, prompt) ? 1 : 0;
    }
    EXPECT_GE(comparable, 2);
}

using Fp8Models = Models;

// Nearer to the exact activations than half of what the reference measures: they aren't quantised at all.
TEST_P(Fp8Models, W8a8IsAsFarAsTheReference) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        const auto ours = TensorFile::open(logits(prompt, {"--math", "f32", "--precision", "w8a8"}, "w8a8"));
        ASSERT_TRUE(ours);
        const double expected = GetParam().w8a8_distance[static_cast<size_t>(prompt)];
        EXPECT_GE(distance(*ours, prompt, "logits"), 0.5 * expected);
        EXPECT_LE(distance(*ours, prompt, "logits"), 1.5 * expected);
    }
}

TEST_P(Models, GreedyIdsAreTheGoldenOnes) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        for (const char* chunk : {"512", "7", "1"}) {
            const std::string text = greedy(prompt, {"--chunk", chunk});
            const auto document = nlohmann::json::parse(text, nullptr, false);
            ASSERT_TRUE(document.is_object()) << text;
            EXPECT_EQ(document["ids"].get<std::vector<int64_t>>(),
                      golden_->integers(fmt::format("p{}.greedy_ids", prompt)));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, Models, testing::ValuesIn(golden_models()), golden_name);
INSTANTIATE_TEST_SUITE_P(All, Fp8Models, testing::ValuesIn(fp8_models()), golden_name);

}  // namespace
}  // namespace vks::test
