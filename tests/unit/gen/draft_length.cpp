#include "frontend/gen/draft_length.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vks {
namespace {

// A machine and a text: what steps take there, and how many of the drafts are right.
struct World {
    double draft, verify, per_draft;  // seconds
    int64_t right;                    // drafts of each step that are
};

// The lengths chosen over `steps` steps.
std::vector<int64_t> live(DraftLength& length, const World& world, int steps) {
    std::vector<int64_t> chosen;
    for (int i = 0; i < steps; ++i) {
        const int64_t k = length.choose();
        chosen.push_back(k);
        const std::vector<double> drafts(static_cast<size_t>(k), world.draft);
        length.record(std::min(k, world.right), drafts, world.verify + static_cast<double>(k) * world.per_draft);
    }
    return chosen;
}

int64_t usual(const std::vector<int64_t>& chosen) {
    std::vector<int64_t> sorted(chosen.end() - std::min<ptrdiff_t>(100, std::ssize(chosen)), chosen.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
}

TEST(DraftLength, TriesEachTwiceThenKeepsToOne) {
    DraftLength length(3);
    const std::vector<int64_t> chosen = live(length, {0.1, 1, 0, 3}, 200);
    EXPECT_EQ(std::vector<int64_t>(chosen.begin(), chosen.begin() + 8), (std::vector<int64_t>{0, 0, 1, 1, 2, 2, 3, 3}));
    EXPECT_EQ(usual(chosen), 3);
}

TEST(DraftLength, DoesNotTryOnWhereItGetsWorse) {
    DraftLength length(4);
    EXPECT_EQ(live(length, {5, 1, 0, 0}, 8), (std::vector<int64_t>{0, 0, 1, 1, 0, 0, 0, 0}));
}

TEST(DraftLength, DraftsWhatPays) {
    const auto settled = [](const World& world) {
        DraftLength length(4);
        return usual(live(length, world, 300));
    };
    EXPECT_EQ(settled({0.1, 1, 0, 4}), 4);    // all are right and cost little
    EXPECT_EQ(settled({0.1, 1, 0, 2}), 2);    // the third never is
    EXPECT_EQ(settled({0.1, 1, 0, 0}), 0);    // none is
    EXPECT_EQ(settled({1.5, 1, 0, 4}), 0);    // a draft costs more than a step
    EXPECT_EQ(settled({0.1, 1, 1.0, 4}), 0);  // a row of a step costs as much as a step
}

TEST(DraftLength, NoticesThatTheTextChanged) {
    DraftLength length(4);
    EXPECT_EQ(usual(live(length, {0.1, 1, 0, 0}, 300)), 0);
    EXPECT_EQ(usual(live(length, {0.1, 1, 0, 4}, 3000)), 4);
    EXPECT_EQ(usual(live(length, {0.1, 1, 0, 0}, 3000)), 0);
}

TEST(DraftLength, TriesNeighboursNowAndThen) {
    DraftLength length(2);
    const std::vector<int64_t> chosen = live(length, {5, 1, 0, 0}, 1000);
    const auto other = std::count_if(chosen.begin() + 100, chosen.end(), [](int64_t k) { return k != 0; });
    EXPECT_GE(other, 10);
    EXPECT_LE(other, 50);
}

TEST(DraftLength, ExpectsWhatItSaw) {
    DraftLength length(1);
    live(length, {0.25, 1, 0.25, 1}, 2000);
    EXPECT_NEAR(length.rate(0), 1, 1e-9);
    EXPECT_NEAR(length.rate(1), 2 / 1.5, 1e-3);
}

}  // namespace
}  // namespace vks
