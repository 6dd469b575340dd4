// Weights that are resident for a launch: whatever comes of the launch, their room is there for what runs next.
#include "backend/exec/paging.h"

#include <gtest/gtest.h>

#include <set>

#include "backend/registry/registry.h"
#include "frontend/gen/page_weights.h"
#include "tests/support/experts_model.h"
#include "tests/support/plugins.h"

namespace vks::test {
namespace {

const std::vector<int32_t> kPrompt = {5, 9, 2, 7, 7, 1};
constexpr int kLaunches = 200;  // of the operator, before one fails: some steps

// By an operator that reads its weights whole, and by one of experts.
class PagingTest : public testing::TestWithParam<const char*> {};

TEST_P(PagingTest, AFailedLaunchHoldsNothing) {
    const ExpertsModel model(false);
    Registry registry({null_dir()});
    const auto found = registry.select("fault");
    ASSERT_TRUE(found) << found.error().text;
    const auto opened = registry.open(
        *found->front(), fmt::format("threads=1;error=internal;times=1;at={};op={}", kLaunches, GetParam()));
    ASSERT_TRUE(opened) << opened.error().text;
    Device& device = **opened;

    Preference preference;
    preference.order = {&device};
    preference.general = 1;
    WeightStores weights;
    State state;
    const auto plan = make_plan(model.graph(), preference, weights, state);
    ASSERT_TRUE(plan) << plan.error().text;
    std::set<const std::byte*> paged;
    for (const Value& value : (*plan)->graph->values)
        if (value.kind == Kind::kWeight) paged.insert(value.host);
    Executor executor;
    executor.page(page_weights(model.checkpoint(), device, paged, 1, 0));  // no room: nothing stays that isn't held
    ASSERT_NE(executor.paging(), nullptr);
    Pager& pager = executor.paging()->pager();
    uint64_t bytes = 0;  // that the last step read
    const auto runs = [&] {
        const uint64_t before = pager.stats().bytes_read;
        const bool ran = bool(model.logits(executor, **plan, kPrompt));
        bytes = pager.stats().bytes_read - before;
        return ran;
    };

    uint64_t whole = 0;
    for (int step = 0; step < kLaunches && runs(); ++step) whole = bytes;
    EXPECT_EQ(device.health(), Health::kUnhealthy);
    EXPECT_GT(whole, 0U);
    EXPECT_TRUE(runs());
    EXPECT_EQ(bytes, whole);
}

INSTANTIATE_TEST_SUITE_P(Operators, PagingTest, testing::Values("fp8_gemm", "grouped_gemm"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace vks::test
