#include "frontend/gen/draft_length.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vks {
namespace {

// A machine and a text: what steps take there, and how many of the drafts are right.
struct World {
    double draft, verify, per_draft;  // seconds
    int64_t right;                    // drafts of each step that are
    double row = 0;                   // of a module that is behind
};

struct Life {
    std::vector<int64_t> chosen;  // lengths, by step
    double seconds = 0;
    int64_t ids = 0;
};

Life live(DraftLength& length, const World& world, int steps) {
    Life life;
    int64_t behind = 0;
    for (int i = 0; i < steps; ++i) {
        const int64_t k = length.choose(behind);
        life.chosen.push_back(k);
        const std::vector<double> drafts(static_cast<size_t>(k), world.draft);
        DraftedStep step;
        step.accepted = std::min(k, world.right);
        step.draft_seconds = drafts;
        step.verify_seconds = world.verify + static_cast<double>(k) * world.per_draft;
        step.rows = k > 0 ? behind : 0;
        step.row_seconds = static_cast<double>(step.rows) * world.row;
        length.record(step);
        behind = k > 0 ? 0 : behind + 1;
        life.seconds += static_cast<double>(k) * world.draft + step.verify_seconds + step.row_seconds;
        life.ids += 1 + step.accepted;
    }
    return life;
}

int64_t usual(const std::vector<int64_t>& chosen) {
    std::vector<int64_t> sorted(chosen.end() - std::min<ptrdiff_t>(100, std::ssize(chosen)), chosen.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
}

TEST(DraftLength, WaitsThenTriesOneMoreAsLongAsThatHelps) {
    DraftLength length(3);
    const std::vector<int64_t> chosen = live(length, {0.1, 1, 0, 3}, 200).chosen;
    std::vector<int64_t> begin(chosen.begin(), chosen.begin() + 14);
    std::vector<int64_t> wanted(8, 0);
    wanted.insert(wanted.end(), {1, 1, 2, 2, 3, 3});
    EXPECT_EQ(begin, wanted);
    EXPECT_EQ(usual(chosen), 3);
}

TEST(DraftLength, DoesNotTryOnWhereItGetsWorse) {
    DraftLength length(4);
    const std::vector<int64_t> chosen = live(length, {5, 1, 0, 0}, 200).chosen;
    EXPECT_EQ(std::count(chosen.begin(), chosen.end(), 1), 2);
    EXPECT_EQ(std::count(chosen.begin(), chosen.end(), 0), 198);
}

// However bad drafts are, and however much it takes to make up for rows, texts of any length lose little.
TEST(DraftLength, LosesLittleWhereDraftsDoNotPay) {
    for (const World& world : {World{1, 1, 1, 0}, World{0.3, 1, 0.2, 0}, World{0.1, 1, 0, 0, 0.2}, World{3, 1, 2, 4}})
        for (const int steps : {4, 8, 20, 100, 1000, 10000}) {
            DraftLength length(4);
            length.expect_row(world.row, 1);
            const Life life = live(length, world, steps);
            const double plain = static_cast<double>(life.ids) * world.verify, lost = life.seconds - plain;
            // The second trial was begun before it was known what the first one would take.
            EXPECT_LT(lost, plain / 8 + 2 * (world.draft + world.per_draft + 1)) << world.draft << " " << steps;
            if (steps <= 8) {
                EXPECT_EQ(lost, 0);
            }
            if (steps == 10000) {
                EXPECT_LT(lost, plain / 32);
            }
        }
}

// Another program makes every second stretch of steps take twice as long. A length that was tried while it ran, or
// while it didn't, isn't judged by that for long.
TEST(DraftLength, LosesLittleOnAMachineThatIsBusyNowAndThen) {
    for (const int64_t stretch : {3, 10, 40, 150}) {
        DraftLength length(4);
        double lost = 0, plain = 0;
        for (int64_t i = 0; i < 3000; ++i) {
            const double slow = i / stretch % 2 == 0 ? 1 : 2;
            const int64_t k = length.choose(0);
            const std::vector<double> drafts(size_t(k), 0.85 * slow);
            DraftedStep step;
            step.accepted = k;
            step.draft_seconds = drafts;
            step.verify_seconds = slow * (1 + 0.35 * double(k));  // two ids in 2.2 seconds instead of 2
            length.record(step);
            lost += step.verify_seconds + double(k) * 0.85 * slow - double(1 + k) * slow;
            plain += double(1 + k) * slow;
        }
        EXPECT_LT(lost, plain / 32) << stretch;
    }
}

TEST(DraftLength, DraftsWhatPays) {
    const auto settled = [](const World& world) {
        DraftLength length(4);
        return usual(live(length, world, 600).chosen);
    };
    EXPECT_EQ(settled({0.1, 1, 0, 4}), 4);       // all are right and cost little
    EXPECT_EQ(settled({0.1, 1, 0, 2}), 2);       // the third never is
    EXPECT_EQ(settled({0.1, 1, 0, 0}), 0);       // none is
    EXPECT_EQ(settled({1.5, 1, 0, 4}), 0);       // a draft costs more than a step
    EXPECT_EQ(settled({0.1, 1, 1.0, 4}), 0);     // a row of a step costs as much as a step
    EXPECT_EQ(settled({0.1, 1, 0, 4, 0.1}), 4);  // once modules have made up for what they lacked
}

TEST(DraftLength, NoticesThatTheTextChanged) {
    DraftLength length(4);
    EXPECT_EQ(usual(live(length, {0.1, 1, 0, 0}, 300).chosen), 0);
    EXPECT_EQ(usual(live(length, {0.1, 1, 0, 4}, 6000).chosen), 4);
    EXPECT_EQ(usual(live(length, {0.1, 1, 0, 0}, 3000).chosen), 0);
}

TEST(DraftLength, TriesNeighboursNowAndThen) {
    DraftLength length(2);
    const std::vector<int64_t> chosen = live(length, {0.5, 1, 0, 0}, 10000).chosen;
    const auto other = std::count_if(chosen.begin() + 1000, chosen.end(), [](int64_t k) { return k != 0; });
    EXPECT_GE(other, 10);
    EXPECT_LE(other, 300);
}

TEST(DraftLength, ExpectsWhatItSaw) {
    DraftLength length(1);
    live(length, {0.25, 1, 0.25, 1}, 4000);
    EXPECT_NEAR(length.rate(0), 1, 1e-9);
    EXPECT_NEAR(length.rate(1), 2 / 1.5, 1e-3);
}

}  // namespace
}  // namespace vks
