// Guesses of the next layer's experts go by what followed what.
#include "backend/exec/expert_guess.h"

#include <gtest/gtest.h>

#include <vector>

namespace vks {
namespace {

using Experts = std::vector<size_t>;

// A step of two layers of eight experts.
void step(ExpertGuess& guess, const Experts& first, const Experts& second) {
    guess.saw(0, 8, first);
    guess.saw(1, 8, second);
}

TEST(ExpertGuess, NothingAtFirst) {
    ExpertGuess guess;
    EXPECT_EQ(guess.next(), Experts{});
    guess.saw(0, 8, Experts{1});
    EXPECT_EQ(guess.next(), Experts{});
    guess.saw(1, 8, Experts{2});
    EXPECT_EQ(guess.next(), Experts{});  // there is no layer after it
}

TEST(ExpertGuess, WhatFollowedMostOften) {
    ExpertGuess guess;
    for (int i = 0; i < 5; ++i) {
        step(guess, {0, 1}, {6, 7});
        step(guess, {2, 3}, {4, 5});
    }
    step(guess, {0, 1}, {3, 7});
    guess.saw(0, 8, Experts{0, 1});
    EXPECT_EQ(guess.next(), (Experts{7, 6}));
    guess.saw(0, 8, Experts{3, 2});
    EXPECT_EQ(guess.next(), (Experts{4, 5}));
    guess.saw(0, 8, Experts{1, 3});
    EXPECT_EQ(guess.next(), (Experts{7, 4}));  // 6 of 6 and, of those that are alike, the first
    guess.saw(0, 8, Experts{5, 6});
    EXPECT_EQ(guess.next(), Experts{});  // never seen
}

TEST(ExpertGuess, PromptsThatUseMostSayNothing) {
    ExpertGuess guess;
    step(guess, {0, 1}, {6, 7});
    step(guess, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4});
    guess.saw(0, 8, Experts{0, 1, 2, 3, 4});
    EXPECT_EQ(guess.next(), Experts{});
    guess.saw(0, 8, Experts{0, 1});
    EXPECT_EQ(guess.next(), (Experts{6, 7}));
}

TEST(ExpertGuess, LongAgoCountsLess) {
    ExpertGuess guess;
    for (int i = 0; i < 65535; ++i) step(guess, {0}, {1});
    for (int i = 0; i < 40000; ++i) step(guess, {0}, {2});
    guess.saw(0, 8, Experts{0});
    EXPECT_EQ(guess.next(), Experts{2});
}

}  // namespace
}  // namespace vks
