// Work cut into many submissions, as kernel drivers' limits on a job's time want it: the same bits.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

constexpr const char* kIds = "3,1,4,1,5,9,2,6,5,3,5,8,9,7,9,3,2,3,8,4,6";

RunOptions with(const std::string& device_options) {
    RunOptions options;
    options.env["VKSEEK_VULKAN_OPTIONS"] = device_options;
    return options;
}

std::string logits(const std::string& math, const std::string& device_options) {
    const TempDir dir;
    const Ran ran = run_program({"logits", "-m", data("nano-fp8/checkpoint").string(), "--backend", "vulkan", "--math",
                                 math, "--trace", "--mtp", "--ids", kIds, "-o", dir / "logits"},
                                with(device_options));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return read_bytes(dir / "logits");
}

TEST(VulkanSubmissions, CutWorkGivesTheSameBits) {
    for (const char* math : {"f32", "half"}) {
        SCOPED_TRACE(math);
        const std::string whole = logits(math, "submission=0");
        ASSERT_FALSE(whole.empty());
        EXPECT_TRUE(logits(math, "submission=1") == whole);  // a dispatch each
        EXPECT_TRUE(logits(math, "submission=1000000") == whole);
    }
}

nlohmann::json counts(int tokens, const std::string& device_options) {
    const Ran ran = run_program({"generate", "-m", data("nano-fp8/checkpoint").string(), "--backend", "vulkan", "--ids",
                                 kIds, "-n", std::to_string(tokens), "--ignore-eos", "--temp", "0", "--json"},
                                with(device_options));
    EXPECT_EQ(ran.status, 0) << ran.err;
    const auto document = nlohmann::json::parse(ran.out, nullptr, false);
    if (!document.is_object() || document["device_stats"].size() != 1) return {{"submits", 0}};
    return document["device_stats"].front();
}

// A step of small work is one submission, of cut work as many as it has dispatches; neither is recorded again.
TEST(VulkanSubmissions, StepsAreReplayed) {
    const auto steps = [](const std::string& options) {
        const nlohmann::json few = counts(8, options), many = counts(24, options);
        EXPECT_GT(few["recordings"], 0);
        EXPECT_EQ(few["recordings"], many["recordings"]);
        return (many["submits"].get<int64_t>() - few["submits"].get<int64_t>()) / 16;
    };
    const int64_t whole = steps("submission=0");
    EXPECT_GE(whole, 1);
    EXPECT_EQ(steps("submission=100000000000"), whole);
    EXPECT_GE(steps("submission=1"), whole + 16);
}

}  // namespace
}  // namespace vks::test
