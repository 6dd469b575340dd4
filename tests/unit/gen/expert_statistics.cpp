// What is kept of the experts' uses from run to run: told to the next pager, and never trusted.
#include "frontend/gen/expert_statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "tests/support/paths.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

class ExpertStatisticsTest : public testing::Test {
protected:
    ExpertStatisticsTest() : checkpoint_(*Checkpoint::open(test::data("nano-bf16") / "checkpoint")) {
        const char* before = std::getenv("XDG_CACHE_HOME");
        before_ = before ? before : "";
        setenv("XDG_CACHE_HOME", dir_.path().c_str(), 1);
        for (const ModelPiece& piece : checkpoint_pieces(checkpoint_))
            if (piece.expert >= 0) experts_.push_back(piece);
    }
    ~ExpertStatisticsTest() override {
        before_.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", before_.c_str(), 1);
    }
    // As many uses of expert `i` as it says.
    void run(ExpertStatistics& statistics, size_t i, uint64_t uses) const {
        statistics.add({{experts_[i].tensors[0]->data, uses}});
    }

    Checkpoint checkpoint_;
    test::TempDir dir_;
    std::string before_;
    std::vector<ModelPiece> experts_;
};

TEST_F(ExpertStatisticsTest, AddUpFromRunToRun) {
    for (int round = 1; round <= 3; ++round) {
        ExpertStatistics statistics(checkpoint_, 0);
        run(statistics, 2, 5);
        EXPECT_EQ(statistics.counts()[2], 5u * static_cast<unsigned>(round));
        EXPECT_EQ(statistics.counts()[1], 0u);
        statistics.save();
    }
}

TEST_F(ExpertStatisticsTest, ArePassedOnToPagers) {
    ExpertStatistics statistics(checkpoint_, 0);
    run(statistics, 3, 40);
    run(statistics, 1, 20);
    Pager pager(1, 1);
    for (const ModelPiece& piece : experts_)
        for (const TensorView* tensor : piece.tensors)
            pager.add(*tensor->file, tensor->data, tensor->bytes, RangeUse::kCached);
    statistics.prepare(pager);
    const auto told = [&](size_t i) { return pager.uses(*pager.find(experts_[i].tensors[0]->data)); };
    EXPECT_GT(told(3), told(1));
    EXPECT_GT(told(1), told(2));
    EXPECT_EQ(told(2), 0u);
}

// A layer's experts are read as often as they were used, all together as often as before.
TEST_F(ExpertStatisticsTest, WeighPieces) {
    std::vector<ModelPiece> pieces = checkpoint_pieces(checkpoint_);
    const auto reads = [&](int64_t layer, int64_t expert) {
        return std::ranges::find_if(
                   pieces, [&](const ModelPiece& piece) { return piece.layer == layer && piece.expert == expert; })
            ->reads;
    };
    const int64_t layer = experts_[0].layer, other = layer + 1;  // neither is an MTP module's
    ExpertStatistics statistics(checkpoint_, 0);
    statistics.weigh(pieces);
    EXPECT_DOUBLE_EQ(reads(layer, 0), experts_[0].reads);
    run(statistics, 2, 1);
    statistics.weigh(pieces);
    EXPECT_DOUBLE_EQ(reads(layer, 2), 2 * reads(layer, 1));
    EXPECT_LT(reads(layer, 2), 1);
    EXPECT_DOUBLE_EQ(reads(other, 2), experts_[0].reads);
    EXPECT_EQ(reads(layer, -1), 1);
}

TEST_F(ExpertStatisticsTest, FadeBeforeTheyOverflow) {
    ExpertStatistics statistics(checkpoint_, 0);
    run(statistics, 0, 1000);
    for (int round = 0; round < 70; ++round) run(statistics, 3, 1000);
    EXPECT_LE(statistics.counts()[3], 1u << 16);
    EXPECT_EQ(statistics.counts()[0], 500u);
}

TEST_F(ExpertStatisticsTest, ADamagedFileCountsAsNone) {
    {
        ExpertStatistics statistics(checkpoint_, 0);
        run(statistics, 1, 9);
        statistics.save();
    }
    const std::filesystem::path path = ExpertStatistics(checkpoint_, 0).path();
    const std::string whole = test::read_bytes(path);
    ASSERT_FALSE(whole.empty());
    for (size_t cut = 0; cut < whole.size(); cut += 7) {
        test::write_bytes(path, whole.substr(0, cut));
        EXPECT_EQ(ExpertStatistics(checkpoint_, 0).counts()[1], 0u) << cut;
    }
    for (size_t at = 0; at < whole.size(); at += 3) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
        test::write_bytes(path, flipped);
        EXPECT_EQ(ExpertStatistics(checkpoint_, 0).counts()[1], 0u) << at;
    }
    test::write_bytes(path, whole + "x");
    EXPECT_EQ(ExpertStatistics(checkpoint_, 0).counts()[1], 0u);
    ExpertStatistics statistics(checkpoint_, 0);
    statistics.save();
    EXPECT_EQ(test::read_bytes(path).size(), whole.size());  // written anew
    test::write_bytes(path, whole);
    EXPECT_EQ(ExpertStatistics(checkpoint_, 0).counts()[1], 9u);
}

TEST_F(ExpertStatisticsTest, BelongToOneModel) {
    const Checkpoint other = *Checkpoint::open(test::data("nano-noqlora") / "checkpoint");
    EXPECT_NE(ExpertStatistics(checkpoint_, 0).path(), ExpertStatistics(other, 0).path());
}

}  // namespace
}  // namespace vks
