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

// Figures, or the driver's reason: not how the device was opened.
TEST(VulkanIsa, DriversReportFiguresOrNothing) {
    const Ran ran = run_program({"bench", "isa", "--backend", "vulkan:0"});
    const char* wanted =
        ran.status == 0 ? "rms_norm" : "found: unsupported: the driver reports no statistics of pipelines";
    EXPECT_TRUE(ran.status == 0 || ran.status == 4) << ran.status;
    EXPECT_NE((ran.status == 0 ? ran.out : ran.err).find(wanted), std::string::npos) << ran.out << ran.err;
}

}  // namespace
}  // namespace vks::test
