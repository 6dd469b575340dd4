// Questions that bench isa asks, and figures under the names of several drivers.
#include <gtest/gtest.h>

#include <set>

#include "frontend/bench/isa_figures.h"
#include "frontend/bench/isa_shapes.h"

namespace vks::bench {
namespace {

TEST(IsaFigures, ByTheNamesOfEachDriver) {
    const IsaFigures radv =
        isa_figures({{"VGPRs", 48}, {"LDS size", 1024}, {"Subgroups per SIMD", 32}, {"Code size", 2084}});
    EXPECT_EQ(radv.registers, 48U);
    EXPECT_EQ(radv.shared, 1024U);
    EXPECT_EQ(radv.waves, 32U);
    EXPECT_EQ(radv.code, 2084U);
    EXPECT_EQ(radv.spilled, 0U);
    const IsaFigures nvk =
        isa_figures({{"Number of GPRs", 96}, {"Max warps/SM", 20}, {"Spills to memory", 3}, {"Fills from memory", 4}});
    EXPECT_EQ(nvk.registers, 96U);
    EXPECT_EQ(nvk.spilled, 7U);
    EXPECT_FALSE(nvk.shared);
    EXPECT_FALSE(isa_figures({}).registers);
}

TEST(IsaQuestions, EveryOperatorIsAskedFor) {
    std::set<std::string> operators;
    for (const IsaQuestion& question : deepseek_v3_questions()) operators.insert(question.op);
    EXPECT_EQ(operators.size(), 17U);
}

}  // namespace
}  // namespace vks::bench
