// `vkseek bench isa`: where drivers report nothing, and GPUs that nothing fakes. Its figures are tests/isa's.
#include <gtest/gtest.h>

#include "tests/support/run_program.h"

namespace vks::test {
namespace {

TEST(VulkanIsa, GpusThatNobodyKnowsAndDevicesWithoutShaders) {
    const Ran none = run_program({"bench", "isa", "--gpu", "nvidia-nonesuch,"});
    EXPECT_EQ(none.status, 2) << none.err;
    const Ran cpu = run_program({"bench", "isa", "--backend", "cpu"});
    EXPECT_EQ(cpu.status, 4);
    EXPECT_NE(cpu.err.find("whose plugin has shaders"), std::string::npos) << cpu.err;
}

// The reason is the driver's, not how the device was opened.
TEST(VulkanIsa, DriversThatReportNothing) {
    const Ran ran = run_program({"bench", "isa", "--backend", "vulkan:0"});
    if (ran.status == 0) GTEST_SKIP() << "the driver reports statistics";
    EXPECT_EQ(ran.status, 4);
    EXPECT_NE(ran.err.find("the driver reports no statistics of pipelines"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace vks::test
