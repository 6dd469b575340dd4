// Which expert gives way to which.
#include "backend/exec/slot_cache.h"

#include <gtest/gtest.h>

#include <array>

namespace vks {
namespace {

class SlotCacheTest : public testing::Test {
protected:
    SlotCache::Key key(size_t i) const { return &keys_[i]; }
    void bring(size_t i, bool at_once = false) {
        const auto slot = cache_.make_room(key(i), at_once);
        ASSERT_TRUE(slot) << i;
        cache_.brought(*slot, true);
    }
    void step(std::initializer_list<size_t> used) {
        cache_.begin_step();
        for (const size_t i : used) cache_.use(key(i));
    }

    SlotCache cache_{2};
    std::array<std::byte, 8> keys_{};
};

TEST_F(SlotCacheTest, FreeSlotsFirst) {
    step({0, 1});
    EXPECT_FALSE(cache_.use(key(0)));
    bring(0);
    EXPECT_TRUE(cache_.use(key(0)));
    bring(1);
    EXPECT_TRUE(cache_.use(key(0)));
    EXPECT_NE(cache_.use(key(0)), cache_.use(key(1)));
    EXPECT_FALSE(cache_.make_room(key(0), true));  // it is there
}

TEST_F(SlotCacheTest, OnItsWayIsNotThere) {
    const auto slot = cache_.make_room(key(0), false);
    ASSERT_TRUE(slot);
    EXPECT_TRUE(cache_.has(key(0)));
    EXPECT_FALSE(cache_.use(key(0)));
    EXPECT_FALSE(cache_.make_room(key(0), false));
    cache_.brought(*slot, false);
    EXPECT_FALSE(cache_.has(key(0)));
    EXPECT_TRUE(cache_.make_room(key(0), false));
}

TEST_F(SlotCacheTest, WhatIsWorthLessGivesWay) {
    step({0, 0, 0, 1});
    bring(0);
    bring(1);
    step({2});
    EXPECT_FALSE(cache_.make_room(key(2), false));  // used as often as 1
    step({2});
    bring(2);
    EXPECT_FALSE(cache_.has(key(1)));
    EXPECT_TRUE(cache_.has(key(0)));
}

// The device may still be computing with them.
TEST_F(SlotCacheTest, WhatThisStepUsedStays) {
    step({0, 1, 2, 2, 2, 2});
    bring(0);
    bring(1);
    step({0, 1});
    EXPECT_FALSE(cache_.make_room(key(2), false));
    cache_.begin_step();
    bring(2);
}

TEST_F(SlotCacheTest, AtOnceTakesWhatEarlierLayersUsed) {
    step({0, 1});
    bring(0);
    bring(1);
    step({0, 0, 0, 1, 1, 1});
    EXPECT_FALSE(cache_.make_room(key(2), true));
    cache_.begin_layer();
    cache_.use(key(1));
    bring(2, true);
    EXPECT_FALSE(cache_.has(key(0)));
    EXPECT_TRUE(cache_.has(key(1)));
    EXPECT_FALSE(cache_.make_room(key(3), true));  // 1 and 2 are this layer's
}

TEST_F(SlotCacheTest, OldUsesFade) {
    step({0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    bring(0);
    // Others come and go through the other slot, each worth more than the one before, until 0 is worth less.
    for (int round = 0; round < 20 && cache_.has(key(0)); ++round)
        for (const size_t i : {1, 2, 3}) {
            step({i});
            if (const auto slot = cache_.make_room(key(i), false)) cache_.brought(*slot, true);
        }
    EXPECT_FALSE(cache_.has(key(0)));
}

}  // namespace
}  // namespace vks
