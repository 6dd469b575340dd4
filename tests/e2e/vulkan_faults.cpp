// The program with faults around the Vulkan plugin: what can't be read from the host, and runs when it likes.
#include <array>
#include <cstdlib>

#include "tests/e2e/faults.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

constexpr const char* kErrors[] = {
    "device_lost", "device_lost;in=await", "out_of_memory", "internal", "internal;in=await",
    "throw",       "throw;in=await",       "hang"};

nlohmann::json ids_on_cpu(const std::vector<std::string>& options) {
    auto document = document_of(generate_with_fault("", options));
    EXPECT_FALSE(document["ids"].empty());
    return document["ids"];
}

// Long enough to compile in; what hangs comes last, when all is compiled, and need not take as long.
const char* watchdog(std::string_view error) {
    return error == "hang" ? "3" : "20";
}

// In the prompt's step, in one that gives an id, in a draft.
class VulkanFaults : public testing::TestWithParam<const char*> {};

TEST_P(VulkanFaults, TheProgramGoesOn) {
    const auto ids = ids_on_cpu({"--backend", "cpu"});
    for (const char* error : kErrors) {
        const std::string fault = std::string("plugin=vulkan;error=") + error + ";" + GetParam();
        SCOPED_TRACE(fault);
        expect_survived(
            generate_with_fault(fault, {"--backend", "fault,cpu", "--mtp", "1", "--watchdog", watchdog(error)}), ids);
    }
}

std::string phase_name(const testing::TestParamInfo<const char*>& phase) {
    const std::array names = {"Prefill", "Decode", "Draft"};
    return names.at(phase.index);
}

INSTANTIATE_TEST_SUITE_P(Phases, VulkanFaults, testing::Values("step=0", "step=6", "op=mtp_merge;at=3"), phase_name);

// At one step in eight of 64; $VKSEEK_TEST_LONG: at each.
TEST(VulkanFault, WheneverItDies) {
    const auto ids = ids_on_cpu({"--backend", "cpu", "-n", "64"});
    for (int step = 0; step < 64; step += std::getenv("VKSEEK_TEST_LONG") ? 1 : 8) {
        SCOPED_TRACE(step);
        expect_survived(generate_with_fault("plugin=vulkan;error=device_lost;step=" + std::to_string(step),
                                            {"--backend", "fault,cpu", "-n", "64"}),
                        ids);
    }
}

// Before the step it had run on, whose rows are then the other device's, all was right.
TEST(VulkanFault, TheOtherWayRound) {
    const auto ids = ids_on_cpu({"--backend", "cpu"});
    const auto document = document_of(generate_with_fault("error=device_lost;step=5", {"--backend", "fault,vulkan"}));
    EXPECT_EQ(document["ids"], ids);
    EXPECT_EQ(document["swaps"].size(), 1U);
}

TEST(VulkanFault, AloneItEndsWithOneLine) {
    for (const char* error : kErrors) {
        SCOPED_TRACE(error);
        expect_one_line(generate_with_fault(std::string("plugin=vulkan;step=3;error=") + error,
                                            {"--backend", "fault", "--watchdog", watchdog(error)}));
    }
}

// A device that is slow, not hanging: when the program ends it is still at work, compiling for the first time.
TEST(VulkanFault, GivenUpWhileItWorksItEndsWithOneLine) {
    for (const char* seconds : {"0.001", "0.1", "0.3", "0.5", "1"}) {
        SCOPED_TRACE(seconds);
        const TempDir cache;
        RunOptions options;
        options.env["XDG_CACHE_HOME"] = cache.path();
        const Ran ran =
            run_program({"generate", "-m", data("nano-fp8/checkpoint").string(), "--backend", "vulkan", "--ids",
                         "3,1,4,1,5,9,2,6,5,3,5,8,9,7", "-n", "2", "--temp", "0", "--watchdog", seconds},
                        options);
        if (ran.status == 0) continue;  // fast enough
        EXPECT_EQ(ran.status, 4) << ran.err;
        EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
    }
}

TEST(VulkanFault, RightNumbersAreNotFoundWrong) {
    for (const char* math : {"f32", "half"}) {
        const auto document =
            document_of(generate_with_fault("", {"--backend", "vulkan", "--check", "1", "--math", math, "--mtp", "1"}));
        EXPECT_EQ(document["checks"]["disagreements"].size(), 0U) << document["checks"];
        EXPECT_GE(document["checks"]["operators"].get<int>(), 16) << math;
    }
}

}  // namespace
}  // namespace vks::test
