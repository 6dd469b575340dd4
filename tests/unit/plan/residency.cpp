// Homes of weights: what is read most has the fastest memory, every piece one home.
#include "backend/plan/residency.h"

#include <gtest/gtest.h>

#include <random>

namespace vks {
namespace {

using Homes = std::vector<size_t>;

TEST(Residency, WhatIsReadMostComesFirst) {
    const std::vector<Piece> pieces = {{10, 0.25}, {10, 1}, {10, 0.5}, {10, 1}};
    EXPECT_EQ(assign_homes(pieces, std::vector<uint64_t>{20, 10}), (Homes{2, 0, 1, 0}));
}

TEST(Residency, EqualsKeepTheirOrder) {
    const std::vector<Piece> pieces = {{4, 0.1}, {4, 0.1}, {4, 0.1}};
    EXPECT_EQ(assign_homes(pieces, std::vector<uint64_t>{8}), (Homes{0, 0, 1}));
}

TEST(Residency, APieceThatDoesNotFitLeavesRoomForSmallerOnes) {
    const std::vector<Piece> pieces = {{100, 1}, {30, 0.5}, {30, 0.4}, {30, 0.3}};
    EXPECT_EQ(assign_homes(pieces, std::vector<uint64_t>{60, 100}), (Homes{1, 0, 0, 2}));
}

TEST(Residency, WhatIsNeverReadStaysInTheFile) {
    const std::vector<Piece> pieces = {{1, 0}, {1, 0.001}};
    EXPECT_EQ(assign_homes(pieces, std::vector<uint64_t>{100}), (Homes{1, 0}));
    EXPECT_EQ(assign_homes(pieces, {}), (Homes{0, 0}));
}

// No room overflows, and no piece in a slower home would have fitted a faster one in place of a colder piece its size.
TEST(Residency, HoldsForAnyPieces) {
    std::mt19937 random(1);  // NOLINT(*-msc51-cpp): the same pieces every time
    for (int round = 0; round < 50; ++round) {
        std::vector<Piece> pieces;
        for (int i = 0; i < 200; ++i) {
            pieces.push_back({1 + random() % 50, static_cast<double>(random() % 100) / 99});
        }
        const std::vector<uint64_t> rooms = {random() % 2000, random() % 2000, random() % 2000};
        const Homes homes = assign_homes(pieces, rooms);
        std::vector<uint64_t> used(rooms.size() + 1, 0);
        for (size_t i = 0; i < pieces.size(); ++i) used[homes[i]] += pieces[i].bytes;
        for (size_t r = 0; r < rooms.size(); ++r) EXPECT_LE(used[r], rooms[r]);
        for (size_t i = 0; i < pieces.size(); ++i) {
            for (size_t j = 0; j < pieces.size(); ++j) {
                if (pieces[i].reads <= pieces[j].reads || pieces[i].bytes > pieces[j].bytes) continue;
                EXPECT_LE(homes[i], homes[j]) << i << " is read more than " << j << " and no larger";
            }
        }
    }
}

}  // namespace
}  // namespace vks
