// What a tuner chooses of times.
#include "frontend/bench/tuner.h"

#include <gtest/gtest.h>

#include <limits>

namespace vks::bench {
namespace {

TEST(Tuner, TheFastestValueByMoreThanNoise) {
    EXPECT_EQ(choose({{0, 1.0}, {2, 0.9}, {4, 0.8}, {8, 1.2}}), 4U);
    EXPECT_EQ(choose({{0, 1.0}, {2, 0.98}}), 0U) << "less than what noise may be";
    EXPECT_EQ(choose({{0, 1.0}, {2, 1.5}}), 0U);
}

TEST(Tuner, WrongResultsAreNeverChosen) {
    const double never = std::numeric_limits<double>::infinity();
    EXPECT_EQ(choose({{0, 1.0}, {2, never}, {4, 0.5}}), 4U);
    EXPECT_EQ(choose({{0, 1.0}, {2, never}}), 0U);
    EXPECT_EQ(choose({}), 0U);
    EXPECT_EQ(choose({{2, 0.1}}), 0U) << "nothing to compare with";
}

}  // namespace
}  // namespace vks::bench
