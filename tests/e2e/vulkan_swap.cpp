// Operators that move between the CPU and a Vulkan device while the program generates: the ids are the golden ones.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/golden_run.h"
#include "tests/e2e/random_swaps.h"

namespace vks::test {
namespace {

class VulkanSwaps : public GoldenRun {
protected:
    VulkanSwaps() : GoldenRun("cpu") {}
    nlohmann::json run(int prompt, const std::vector<std::string>& options) {
        const auto json = nlohmann::json::parse(greedy(prompt, options), nullptr, false);
        EXPECT_TRUE(json.is_object());
        if (json.is_object()) {
            EXPECT_EQ(json["ids"].get<std::vector<int64_t>>(),
                      golden_->integers(fmt::format("p{}.greedy_ids", prompt)));
        }
        return json;
    }
};

TEST_P(VulkanSwaps, ThereAndBackAndSingleOperators) {
    const auto json = run(0, {"--swap", "4=vulkan", "--swap", "9=cpu", "--swap", "14:mla_attention=vulkan", "--swap",
                              "18:mla_rope_append=vulkan", "--swap", "22=vulkan", "--swap", "26=cpu"});
    ASSERT_EQ(json["swaps"].size(), 6U) << json["refused_swaps"];
    for (const auto& swap : json["swaps"]) {
        EXPECT_TRUE(swap["changed"]);
        EXPECT_EQ(swap["recomputed_tokens"], 0);
    }
    EXPECT_GT(json["swaps"][0]["moved_bytes"], 0);
    // Back where it began, with nothing left elsewhere.
    EXPECT_EQ(json["bytes"], json["swaps"][0]["bytes"]["before"]);
    EXPECT_EQ(json["swaps"][1]["bytes"]["after"], json["bytes"]);
}

TEST_P(VulkanSwaps, PromptHereTextThere) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        EXPECT_NE(run(prompt, {"--prefill", "vulkan"})["placement"]["mla_attention"], "cpu");
        run(prompt, {"--prefill", "cpu", "--backend", "vulkan", "--chunk", "7"});
    }
}

TEST_P(VulkanSwaps, TwoHundredAtRandom) {
    const uint32_t last = GetParam().name == "odd-fp8" ? 180 : 200;  // the context of that model is 192
    const auto swaps = two_hundred_swaps(last, {"cpu", "vulkan", "vulkan,cpu"},
                                         {"embed", "rms_norm", "mla_rope_append", "mla_attention", "head_gemm",
                                          "moe_route", "fp8_gemm", "grouped_gemm", "moe_dispatch", "swiglu_quant"},
                                         {"cpu", "vulkan"});
    std::vector<std::string> options = {"-n", std::to_string(last + 1)};
    const auto stays = nlohmann::json::parse(greedy(1, options), nullptr, false);
    options.insert(options.end(), swaps.begin(), swaps.end());
    const auto moves = nlohmann::json::parse(greedy(1, options), nullptr, false);
    ASSERT_TRUE(stays.is_object() && moves.is_object());
    EXPECT_EQ(moves["ids"], stays["ids"]);
    EXPECT_EQ(moves["swaps"].size(), 200U);
    EXPECT_EQ(moves["refused_swaps"], nlohmann::json::array());
    for (const auto& swap : moves["swaps"]) EXPECT_EQ(swap["recomputed_tokens"], 0) << swap;
}

TEST_P(VulkanSwaps, AReloadedPluginGoesOn) {
    const auto json = run(0, {"--backend", "vulkan", "--reload", "9=vulkan", "--swap", "20=cpu"});
    ASSERT_EQ(json["swaps"].size(), 2U) << json["refused_swaps"];
    EXPECT_TRUE(json["swaps"][0]["changed"]);
    EXPECT_GT(json["swaps"][0]["moved_bytes"], 0);
}

INSTANTIATE_TEST_SUITE_P(Fp8, VulkanSwaps, testing::ValuesIn(fp8_models()), golden_name);

}  // namespace
}  // namespace vks::test
