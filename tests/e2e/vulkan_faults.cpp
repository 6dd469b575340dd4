// The program with faults around the Vulkan plugin: what can't be read from the host, and runs when it likes.
#include "tests/e2e/faults.h"

namespace vks::test {
namespace {

TEST(VulkanFaults, TheProgramGoesOn) {
    const auto ids = document_of(generate_with_fault("", {"--backend", "cpu"}))["ids"];
    ASSERT_EQ(ids.size(), 16U);
    for (const char* error : {"device_lost", "device_lost;in=await", "out_of_memory", "internal", "throw;in=await"})
        for (const char* phase : {"step=0", "step=6", "op=mtp_merge;at=3"}) {
            const std::string fault = std::string("plugin=vulkan;error=") + error + ";" + phase;
            SCOPED_TRACE(fault);
            expect_survived(generate_with_fault(fault, {"--backend", "fault,cpu", "--mtp", "1"}), ids);
        }
    SCOPED_TRACE("hang");
    expect_survived(generate_with_fault("plugin=vulkan;error=hang;op=mla_attention;step=3",
                                        {"--backend", "fault,cpu", "--watchdog", "20"}),
                    ids);
}

// Before the step it had run on, whose rows are then the other device's, all was right.
TEST(VulkanFaults, TheOtherWayRound) {
    const auto ids = document_of(generate_with_fault("", {"--backend", "cpu"}))["ids"];
    const auto document = document_of(generate_with_fault("error=device_lost;step=5", {"--backend", "fault,vulkan"}));
    EXPECT_EQ(document["ids"], ids);
    EXPECT_EQ(document["swaps"].size(), 1U);
}

TEST(VulkanFaults, AloneItEndsWithOneLine) {
    expect_one_line(generate_with_fault("plugin=vulkan;error=device_lost;step=3", {"--backend", "fault"}));
}

TEST(VulkanFaults, RightNumbersAreNotFoundWrong) {
    for (const char* math : {"f32", "half"}) {
        const auto document =
            document_of(generate_with_fault("", {"--backend", "vulkan", "--check", "1", "--math", math, "--mtp", "1"}));
        EXPECT_EQ(document["checks"]["disagreements"].size(), 0U) << document["checks"];
        EXPECT_GE(document["checks"]["operators"].get<int>(), 16) << math;
    }
}

}  // namespace
}  // namespace vks::test
