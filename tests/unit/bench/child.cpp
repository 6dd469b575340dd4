// Programs that bench starts: what they are given, what they say.
#include "frontend/bench/child.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace vks::bench {
namespace {

TEST(Child, HasTheEnvironmentItIsGiven) {
    // Long enough that each has memory of its own, and many, so that some of it is used again.
    std::vector<std::string> environment;
    std::string all;
    for (int i = 0; i < 50; ++i) {
        environment.push_back("VKSEEK_TEST_" + std::to_string(i) + "=" + std::string(100 + size_t(i), 'x'));
        all += environment.back() + '\n';
    }
    const auto child = run_child("env", {}, STDOUT_FILENO, environment);
    ASSERT_TRUE(bool(child)) << child.error().text;
    EXPECT_EQ(child->status, 0);
    EXPECT_EQ(child->text, all);
}

TEST(Child, HasOursIfItIsGivenNone) {
    ASSERT_EQ(setenv("VKSEEK_TEST_OURS", "here", 1), 0);
    const auto child = run_child("printenv", {"VKSEEK_TEST_OURS"}, STDOUT_FILENO);
    unsetenv("VKSEEK_TEST_OURS");
    ASSERT_TRUE(bool(child)) << child.error().text;
    EXPECT_EQ(child->text, "here\n");
}

TEST(Child, ThatIsNotThereIsAnError) {
    EXPECT_FALSE(bool(run_child("no-such-program-of-vkseek", {}, STDOUT_FILENO)));
}

}  // namespace
}  // namespace vks::bench
