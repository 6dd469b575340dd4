// --memory on a device with memory of its own: under any cap the golden ids, and never more of it than that.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/golden_run.h"

namespace vks::test {
namespace {

class VulkanMemory : public GoldenRun {
protected:
    VulkanMemory() : GoldenRun("vulkan") {}

    nlohmann::json run(const std::vector<std::string>& caps) {
        std::vector<std::string> options = {"--chunk", "8"};
        for (const std::string& cap : caps) options.insert(options.end(), {"--memory", cap});
        auto document = nlohmann::json::parse(greedy(0, options), nullptr, false);
        EXPECT_TRUE(document.is_object());
        EXPECT_EQ(document["ids"].get<std::vector<int64_t>>(), golden_->integers("p0.greedy_ids"));
        return document;
    }
    // Of the one device that isn't the CPU; 0 when it was left aside.
    static uint64_t peak(const nlohmann::json& document) {
        for (const auto& [device, bytes] : document["peak_bytes"].items())
            if (device != "cpu") return bytes.get<uint64_t>();
        return 0;
    }
};

// From nothing to all, in sixteenths.
TEST_P(VulkanMemory, GoldenIdsUnderAnyCap) {
    const uint64_t all = peak(run({}));
    ASSERT_GT(all, 0u);
    bool shared = false;
    for (const uint64_t sixteenths : {0u, 1u, 5u, 9u, 12u, 15u, 16u}) {
        const uint64_t cap = std::max<uint64_t>(1, all * sixteenths / 16);
        SCOPED_TRACE(fmt::format("{} of {}", cap, all));
        const nlohmann::json document = run({fmt::format("vulkan:0={}", cap)});
        EXPECT_LE(peak(document), cap);
        shared = shared || (peak(document) > 0 && document["peak_bytes"].contains("cpu"));
        if (sixteenths == 16) {
            EXPECT_EQ(document["peak_bytes"].size(), 1u);
        }
    }
    EXPECT_TRUE(shared);  // two devices held weights
}

// Room for all but an expert or two, and for little more than what is needed beside experts: single ones are there, in
// the same step as the others on the CPU, and some of these in slots.
TEST_P(VulkanMemory, GoldenIdsWithSomeExperts) {
    const uint64_t all = peak(run({}));
    bool split = false, slots = false;
    for (const uint64_t eighths : {4u, 5u, 6u, 7u}) {
        const std::string cap = fmt::format("vulkan:0={}", all * eighths / 8);
        const nlohmann::json document = run({cap});
        EXPECT_LE(peak(document), all * eighths / 8);
        slots = slots || (document["slots"].contains("uses") && document["slots"]["uses"] > 0);
        const Ran ran = run_program({"generate", "-m", GetParam().checkpoint(), "--backend", backend_, "--ids", "1",
                                     "-n", "1", "--chunk", "8", "--math", "f32", "--memory", cap, "--explain"});
        split = split || (ran.out + ran.err).find("experts.down_proj (others)") != std::string::npos;
    }
    EXPECT_EQ(split, GetParam().name != "odd-dense");  // which has no experts
    EXPECT_EQ(slots, split);
}

// Both have too little.
TEST_P(VulkanMemory, GoldenIdsUnderTwoCaps) {
    const uint64_t all = peak(run({}));
    const nlohmann::json document = run({fmt::format("vulkan:0={}", all * 3 / 4), "cpu=1"});
    EXPECT_LE(peak(document), all * 3 / 4);
}

INSTANTIATE_TEST_SUITE_P(All, VulkanMemory, testing::ValuesIn(golden_models()), golden_name);

}  // namespace
}  // namespace vks::test
