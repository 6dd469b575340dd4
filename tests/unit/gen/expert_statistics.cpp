// What is kept of the experts' uses from run to run: told to the next pager, and never trusted.
#include "frontend/gen/expert_statistics.h"

#include <gtest/gtest.h>

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
    // A pager that has every expert; as many uses of expert `i` as it says.
    void run(ExpertStatistics& statistics, size_t i, int uses) {
        Pager pager(uint64_t{1} << 30, 1);
        for (const ModelPiece& piece : experts_)
            for (const TensorView* tensor : piece.tensors)
                pager.add(*tensor->file, tensor->data, tensor->bytes, RangeUse::kCached);
        statistics.prepare(pager);
        const Pager::Range range = *pager.find(experts_[i].tensors[0]->data);
        for (int n = 0; n < uses; ++n) {
            ASSERT_TRUE(pager.hold({&range, 1}));
            pager.release({&range, 1});
        }
        statistics.add(pager);
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
