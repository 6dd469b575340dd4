#include "frontend/gen/stop_strings.h"

#include <gtest/gtest.h>

namespace vks {
namespace {

struct Outcome {
    std::string text;
    bool stopped;
    bool operator==(const Outcome&) const = default;
};

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
    StopStrings filter(stops);
    std::string text;
    for (const std::string& piece : pieces) text += filter.push(piece);
    return {text + filter.finish(), filter.stopped()};
}

TEST(StopStrings, NothingToStopAtLetsEverythingThroughAtOnce) {
    StopStrings filter({});
    EXPECT_EQ(filter.push("abc"), "abc");
    EXPECT_FALSE(filter.stopped());
    StopStrings empty({""});
    EXPECT_EQ(empty.push("abc"), "abc");
    EXPECT_FALSE(empty.stopped());
}

TEST(StopStrings, HoldsBackWhatMayBecomeOne) {
    StopStrings filter({"\n\nEND"});
    EXPECT_EQ(filter.push("text\n"), "text");
    EXPECT_EQ(filter.push("\nE"), "");
    EXPECT_EQ(filter.push("at"), "\n\nEat");
    EXPECT_EQ(filter.push("\n\n\nEN"), "\n");
    EXPECT_EQ(filter.finish(), "\n\nEN");
}

TEST(StopStrings, ItselfAndWhatFollowsAreNotPrinted) {
    StopStrings filter({"stop"});
    EXPECT_EQ(filter.push("don't st"), "don't ");
    EXPECT_EQ(filter.push("op now"), "");
    EXPECT_TRUE(filter.stopped());
    EXPECT_EQ(filter.push("more"), "");
    EXPECT_EQ(filter.finish(), "");
}

// However the text is cut, the stop string that ends first wins, the longest of those.
TEST(StopStrings, CutsDoNotMatter) {
    const std::string text = "xxababcabd";
    const std::vector<std::vector<std::string>> sets = {{"abc"}, {"abd", "abc"}, {"b", "ababc"}, {"abab", "bab", "ab_"},
                                                        {"zzz"}, {"d"},          {"xxababcabd"}, {"abdx"}};
    for (const auto& stops : sets) {
        const Outcome whole = run(stops, {text});
        for (size_t a = 0; a <= text.size(); ++a) {
            for (size_t b = a; b <= text.size(); ++b) {
                EXPECT_EQ(run(stops, {text.substr(0, a), text.substr(a, b - a), text.substr(b)}), whole)
                    << stops[0] << " " << a << " " << b;
            }
        }
    }
    EXPECT_EQ(run({"abd", "abc"}, {text}), (Outcome{"xxab", true}));
    EXPECT_EQ(run({"b", "ababc"}, {text}), (Outcome{"xxa", true}));
    EXPECT_EQ(run({"abab", "bab"}, {text}), (Outcome{"xx", true}));
    EXPECT_EQ(run({"zzz", "abdx"}, {text}), (Outcome{text, false}));
}

}  // namespace
}  // namespace vks
