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

}  // namespace
}  // namespace vks::test
