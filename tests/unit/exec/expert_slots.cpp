// Experts in slots: whichever are there, fetched whenever, the logits keep every bit.
#include "backend/exec/expert_slots.h"

#include <gtest/gtest.h>

#include <atomic>

#include "backend/plan/split.h"
#include "backend/registry/registry.h"
#include "frontend/gen/page_weights.h"
#include "tests/support/experts_model.h"
#include "tests/support/plugins.h"

namespace vks {
namespace {

const std::vector<int32_t> kPrompt = {5, 9, 2, 7, 7, 1}, kOne = {7};

// One device of the CPU plugin has the capped device's part, another one is the host.
class ExpertSlotsTest : public testing::TestWithParam<bool> {
protected:
    ExpertSlotsTest() : model_(GetParam()), here_({test::cpu_dir()}), host_({test::cpu_dir()}) {
        for (Registry* registry : {&here_, &host_}) {
            const auto entries = registry->select("cpu");
            CHECK(entries, "{}", entries.error().text);
            devices_.push_back(*registry->open(*entries->front(), "threads=1"));
        }
        auto away = std::make_shared<Away>();
        away->weights = model_.weights_of([](const ModelPiece& piece) { return piece.expert % 4 != 1; });
        const auto split = split_experts(model_.graph(), away->weights);
        CHECK(split != model_.graph(), "nothing is split");
        Preference preference;
        preference.order = {devices_[1]};
        preference.general = 1;
        whole_ = plan(preference, model_.graph());
        preference.order = devices_;
        preference.general = 2;
        preference.away = {{devices_[0], away}};
        split_ = plan(preference, split);
        for (const ModelPiece& piece : checkpoint_pieces(model_.checkpoint()))
            if (piece.expert >= 0 && piece.reads > 0) expert_bytes_ = piece.bytes;
    }

    std::shared_ptr<const Plan> plan(const Preference& preference, const std::shared_ptr<const Graph>& graph) {
        auto made = make_plan(graph, preference, weights_, state_);
        CHECK(made, "{}", made.error().text);
        return *std::move(made);
    }
    void use_slots(uint64_t count, ExpertSlots::AtOnce at_once, SlotMemory::Read read = nullptr) {
        auto slots = std::make_unique<ExpertSlots>(*devices_[0], count * expert_bytes_, std::move(read), at_once);
        ASSERT_TRUE(slots->add(*split_));
        EXPECT_EQ(slots->stats().slots, count);
        executor_.use_slots(std::move(slots));
    }
    std::vector<std::byte> logits(const Plan& plan, const std::vector<int32_t>& ids) {
        auto logits = model_.logits(executor_, plan, ids);
        CHECK(logits, "{}", logits.error().text);
        return *std::move(logits);
    }
    SlotStats stats() { return executor_.slots()->stats(); }

    test::ExpertsModel model_;
    Registry here_, host_;
    std::vector<Device*> devices_;
    WeightStores weights_;
    State state_;
    std::shared_ptr<const Plan> whole_, split_;
    uint64_t expert_bytes_ = 0;
    Executor executor_;
};

TEST_P(ExpertSlotsTest, FetchedAtOnce) {
    const auto prompt = logits(*whole_, kPrompt), one = logits(*whole_, kOne);
    for (const uint64_t count : {1, 2, 5, 100}) {
        SCOPED_TRACE(count);
        use_slots(count, ExpertSlots::AtOnce::kAlways);
        for (int round = 0; round < 3; ++round) {
            EXPECT_EQ(logits(*split_, kPrompt), prompt);
            EXPECT_EQ(logits(*split_, kOne), one);
        }
        EXPECT_GT(stats().at_once, 0u);
    }
    EXPECT_GT(stats().hits, 0u);  // there was room for all
}

// While the host computes what isn't there yet.
TEST_P(ExpertSlotsTest, FetchedInTheBackground) {
    const auto prompt = logits(*whole_, kPrompt), one = logits(*whole_, kOne);
    use_slots(3, ExpertSlots::AtOnce::kNever);
    for (int round = 0; round < 100'000 && stats().hits < 10; ++round) {
        ASSERT_EQ(logits(*split_, kOne), one);
        ASSERT_EQ(logits(*split_, kPrompt), prompt);
    }
    EXPECT_GE(stats().hits, 10u);
    EXPECT_GE(stats().fetched, 1u);
    EXPECT_EQ(stats().at_once, 0u);
}

TEST_P(ExpertSlotsTest, WhicheverIsQuicker) {
    const auto prompt = logits(*whole_, kPrompt);
    use_slots(4, ExpertSlots::AtOnce::kMeasured);
    for (int round = 0; round < 50; ++round) ASSERT_EQ(logits(*split_, kPrompt), prompt);
}

// Both the device and the host have too little memory.
TEST_P(ExpertSlotsTest, TheOthersArePaged) {
    const auto prompt = logits(*whole_, kPrompt), one = logits(*whole_, kOne);
    for (const auto at_once : {ExpertSlots::AtOnce::kAlways, ExpertSlots::AtOnce::kNever}) {
        std::set<const std::byte*> weights;
        for (const Value& value : split_->graph->values)
            if (value.kind == Kind::kWeight) weights.insert(value.host);
        executor_.use_slots(nullptr);
        executor_.page(page_weights(model_.checkpoint(), *devices_[1], weights, 1, 0));
        ASSERT_NE(executor_.paging(), nullptr);
        Pager& pager = executor_.paging()->pager();
        std::atomic<int> copies = 0;
        use_slots(2, at_once, [&](const std::byte* from, std::byte* to, uint64_t bytes) -> Status {
            ++copies;
            const auto range = pager.find(from);
            CHECK(range, "a constant that isn't paged");
            return pager.copy(*range, to, bytes);
        });
        for (int round = 0; round < 100'000 && stats().hits + stats().at_once < 10; ++round) {
            ASSERT_EQ(logits(*split_, kPrompt), prompt);
            ASSERT_EQ(logits(*split_, kOne), one);
        }
        EXPECT_GE(stats().hits + stats().at_once, 10u);
        EXPECT_GT(copies, 0);
        executor_.use_slots(nullptr);
    }
}

TEST_P(ExpertSlotsTest, WhatCannotBeReadFailsTheStep) {
    const SlotMemory::Read broken = [](const std::byte*, std::byte*, uint64_t) -> Status {
        return Error{Code::kBadInput, "cut"};
    };
    use_slots(2, ExpertSlots::AtOnce::kAlways, broken);
    const auto at_once = model_.logits(executor_, *split_, kOne);
    ASSERT_FALSE(at_once);
    EXPECT_EQ(at_once.error().text, "cut");
    EXPECT_EQ(devices_[0]->health(), Health::kOk);
    use_slots(2, ExpertSlots::AtOnce::kNever, broken);
    for (int round = 0; round < 100'000; ++round) {
        const auto later = model_.logits(executor_, *split_, kOne);
        if (later) continue;
        EXPECT_EQ(later.error().text, "cut");
        return;
    }
    FAIL() << "every step went well";
}

// As any other failure of its device's in a step, such as no memory: whoever runs the model leaves it.
TEST_P(ExpertSlotsTest, WhatCannotBeFetchedIsTheDevicesFault) {
    const SlotMemory::Read full = [](const std::byte*, std::byte*, uint64_t) -> Status {
        return Error{Code::kNoBackend, "out of memory"};
    };
    use_slots(2, ExpertSlots::AtOnce::kAlways, full);
    const auto at_once = model_.logits(executor_, *split_, kOne);
    ASSERT_FALSE(at_once);
    EXPECT_EQ(at_once.error().code, Code::kNoBackend);
    EXPECT_EQ(devices_[0]->health(), Health::kUnhealthy);
    EXPECT_EQ(devices_[0]->health_reason(), "out of memory");
    EXPECT_EQ(devices_[1]->health(), Health::kOk);
}

// Plans without split layers, and slots that have no room, change nothing.
TEST_P(ExpertSlotsTest, NothingToDo) {
    const auto one = logits(*whole_, kOne);
    auto slots = std::make_unique<ExpertSlots>(*devices_[0], expert_bytes_ - 1, nullptr);
    ASSERT_TRUE(slots->add(*whole_));
    ASSERT_TRUE(slots->add(*split_));
    executor_.use_slots(std::move(slots));
    EXPECT_EQ(logits(*whole_, kOne), one);
    EXPECT_EQ(logits(*split_, kOne), one);
    EXPECT_EQ(stats().slots, 0u);
    EXPECT_EQ(stats().uses, 0u);
}

INSTANTIATE_TEST_SUITE_P(Maths, ExpertSlotsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "half_w8a8" : "f32"; });

}  // namespace
}  // namespace vks
