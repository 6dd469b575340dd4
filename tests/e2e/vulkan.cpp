// The program with every operator on a Vulkan device, against the golden models; and single operators moved.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/golden_run.h"
#include "tests/support/paths.h"

namespace vks::test {
namespace {

class VulkanModels : public GoldenRun {
protected:
    VulkanModels() : GoldenRun("vulkan") {}

    // The ids of a greedy run; its placement has every operator on `others`, but for `moved` on the CPU.
    std::vector<int64_t> ids(int prompt, const std::vector<std::string>& options, const std::string& moved = "") {
        const std::string text = greedy(prompt, options);
        const auto document = nlohmann::json::parse(text, nullptr, false);
        EXPECT_TRUE(document.is_object()) << text;
        if (!document.is_object()) return {};
        EXPECT_GE(document["placement"].size(), 8U);
        for (const auto& [op, backend] : document["placement"].items())
            EXPECT_TRUE(backend.get<std::string>().starts_with(op == moved ? "cpu" : "vulkan"))
                << op << " on " << backend;
        return document["ids"].get<std::vector<int64_t>>();
    }
};

TEST_P(VulkanModels, F32IsNearTheGoldens) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        for (const char* chunk : {"512", "7"}) {
            const auto ours =
                TensorFile::open(logits(prompt, {"--math", "f32", "--trace", "--mtp", "--chunk", chunk}, "f32"));
            ASSERT_TRUE(ours);
            expect_f32(*ours, prompt);
        }
    }
}

TEST_P(VulkanModels, HalfIsNearTheGoldens) {
    int comparable = 0;
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        SCOPED_TRACE(prompt);
        const auto ours = TensorFile::open(logits(prompt, {"--trace"}, "half"));
        ASSERT_TRUE(ours);
        comparable += expect_half(*ours, prompt) ? 1 : 0;
    }
    EXPECT_GE(comparable, 2);
}

TEST_P(VulkanModels, GreedyIdsAreTheGoldenOnes) {
    for (int prompt = 0; prompt < kPrompts; ++prompt)
        EXPECT_EQ(ids(prompt, {}), golden_->integers(fmt::format("p{}.greedy_ids", prompt))) << prompt;
}

INSTANTIATE_TEST_SUITE_P(All, VulkanModels, testing::ValuesIn(golden_models()), golden_name);

class VulkanFp8Models : public VulkanModels {};

TEST_P(VulkanFp8Models, W8a8IsAsFarAsTheReference) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
        const auto ours = TensorFile::open(logits(prompt, {"--math", "f32", "--precision", "w8a8"}, "w8a8"));
        ASSERT_TRUE(ours);
        const double expected = GetParam().w8a8_distance[static_cast<size_t>(prompt)];
        EXPECT_GE(distance(*ours, prompt, "logits"), 0.5 * expected) << prompt;
        EXPECT_LE(distance(*ours, prompt, "logits"), 1.5 * expected) << prompt;
    }
}

// Moved to the CPU one at a time, each operator of the model gives the same ids.
TEST_P(VulkanFp8Models, AnyOperatorMovesToTheCpu) {
    const auto golden = golden_->integers("p0.greedy_ids");
    const auto document = nlohmann::json::parse(greedy(0, {}), nullptr, false);
    ASSERT_TRUE(document.is_object());
    for (const auto& [op, backend] : document["placement"].items())
        EXPECT_EQ(ids(0, {"--op", op + "=cpu"}, op), golden) << op;
}

INSTANTIATE_TEST_SUITE_P(All, VulkanFp8Models, testing::ValuesIn(fp8_models()), golden_name);

// Nothing falls back unseen: with no CPU plugin there, Vulkan runs alone.
TEST(VulkanAlone, RunsWithoutTheCpuPlugin) {
    const TempDir plugins;
    const std::string library = "libvkseek_vulkan.so";
    std::filesystem::create_symlink(std::filesystem::path(VKS_TEST_PLUGIN).parent_path() / library, plugins / library);
    const std::filesystem::path program = plugins / "vkseek";
    std::filesystem::copy_file(VKS_PROGRAM, program);  // away from the plugins built beside it
    const GoldenModel& model = golden_models()[1];
    const auto golden = TensorFile::open(model.expected_path());
    ASSERT_TRUE(golden);
    RunOptions options;
    options.program = program;
    const Ran ran = run_program(
        {"generate", "--plugin-dir", plugins.path(), "-m", model.checkpoint(), "--backend", "vulkan", "--math", "f32",
         "--temp", "0", "--ignore-eos", "-n", "32", "--json", "--ids", join(golden->integers("p0.input_ids"))},
        options);
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(nlohmann::json::parse(ran.out)["ids"].get<std::vector<int64_t>>(), golden->integers("p0.greedy_ids"));
}

}  // namespace
}  // namespace vks::test
