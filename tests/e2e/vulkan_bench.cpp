// `vkseek bench ops` on Vulkan devices: every operator, right by the CPU plugin.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/run_program.h"

namespace vks::test {
namespace {

TEST(VulkanBench, EveryOperatorIsRightAndTimed) {
    const Ran ran = run_program({"bench", "ops", "--backend", "vulkan", "--rows", "1,9", "-r", "1", "-o", "json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::set<std::string> operators;
    for (const auto& row : nlohmann::json::parse(ran.out)) {
        EXPECT_EQ(row["verified"], true) << row.dump();
        EXPECT_TRUE(row["median_us"].is_number()) << row.dump();
        operators.insert(row["op"]);
    }
    EXPECT_EQ(operators.size(), 17U);
}

}  // namespace
}  // namespace vks::test
