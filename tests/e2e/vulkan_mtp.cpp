// Drafts with every operator on a Vulkan device, and with what else a run is asked for.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace vks::test {
namespace {

nlohmann::json generate(const char* model, const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"generate",  "-m",           data(model), "--ids", "0,5,17,3,99,7,7",
                                          "-n",        "20",           "--temp",    "0.8",   "--seed",
                                          "5",         "--ignore-eos", "--math",    "f32",   "--json",
                                          "--backend", "vulkan"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Ran ran = run_program(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    auto json = nlohmann::json::parse(ran.out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << ran.out;
    return json;
}

TEST(VulkanMtp, GivesTheSameIds) {
    for (const char* model : {"micro-mtp2/checkpoint", "nano-fp8/checkpoint"}) {
        const auto plain = generate(model, {});  // where nothing is said, nothing is drafted
        EXPECT_EQ(plain["mtp"]["k"], 0);
        for (const char* drafts : {"1", "4", "auto"})
            EXPECT_EQ(generate(model, {"--mtp", drafts})["ids"], plain["ids"]) << model << " " << drafts;
    }
}

TEST(VulkanMtp, WithWhatElseThereIs) {
    const char* model = "micro-mtp2/checkpoint";
    const auto plain = generate(model, {});
    const std::vector<std::vector<std::string>> others = {
        {"--chunk", "2"}, {"--check", "1"}, {"--prefill", "cpu"}, {"--swap", "5=cpu", "--swap", "11=vulkan"}};
    for (const auto& other : others) {
        SCOPED_TRACE(other[0]);
        std::vector<std::string> options = other;
        options.insert(options.end(), {"--mtp", "3"});
        const auto json = generate(model, options);
        EXPECT_EQ(json["ids"], plain["ids"]);
        EXPECT_EQ(json["refused_swaps"], nlohmann::json::array());
        EXPECT_GT(json["mtp"]["drafted"], 0);
        if (other[0] == "--check") {
            EXPECT_EQ(json["checks"]["disagreements"], nlohmann::json::array());
        }
    }
}

}  // namespace
}  // namespace vks::test
