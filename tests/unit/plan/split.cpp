// split_experts(): a layer's experts in two runs give the same bits as in one, whichever they are.
#include "backend/plan/split.h"

#include <gtest/gtest.h>

#include <random>

#include "backend/registry/registry.h"
#include "tests/support/experts_model.h"
#include "tests/support/plugins.h"

namespace vks {
namespace {

class SplitExperts : public testing::TestWithParam<bool> {
protected:
    SplitExperts() : model_(GetParam()), registry_({test::cpu_dir()}) {
        auto entries = registry_.select("cpu");
        CHECK(entries, "{}", entries.error().text);
        cpu_ = *registry_.open(*entries->front(), "threads=1");
    }

    std::vector<std::byte> logits(const std::shared_ptr<const Graph>& graph) {
        WeightStores weights;
        State state;
        Preference preference;
        preference.order = {cpu_};
        preference.general = 1;
        const auto plan = make_plan(graph, preference, weights, state);
        CHECK(plan, "{}", plan.error().text);
        Executor executor;
        const auto logits = model_.logits(executor, **plan, {5, 9, 2, 7, 7, 1});
        CHECK(logits, "{}", logits.error().text);
        return *logits;
    }
    template <class F>
    std::unordered_set<std::string> weights_of(F choose) const {
        return model_.weights_of(choose);
    }

    test::ExpertsModel model_;
    Registry registry_;
    Device* cpu_ = nullptr;
};

TEST_P(SplitExperts, SameBits) {
    const std::vector<std::byte> whole = logits(model_.graph());
    std::mt19937 random(11);
    for (int round = 0; round < 8; ++round) {
        const auto away = weights_of([&](const ModelPiece&) { return random() % 2 == 0; });
        const auto split = split_experts(model_.graph(), away);
        ASSERT_NE(split, model_.graph());
        EXPECT_EQ(verify(*split), "");
        EXPECT_EQ(logits(split), whole) << round;
    }
}

TEST_P(SplitExperts, OneOfALayerOrAllButOne) {
    const std::vector<std::byte> whole = logits(model_.graph());
    for (const bool all_but : {false, true}) {
        const auto split = split_experts(
            model_.graph(), weights_of([&](const ModelPiece& piece) { return (piece.expert == 3) != all_but; }));
        ASSERT_NE(split, model_.graph());
        EXPECT_EQ(logits(split), whole);
    }
}

// No device would have less to do.
TEST_P(SplitExperts, AllOrNoneAreNotSplit) {
    EXPECT_EQ(split_experts(model_.graph(), {}), model_.graph());
    EXPECT_EQ(split_experts(model_.graph(), weights_of([](const ModelPiece&) { return true; })), model_.graph());
    EXPECT_EQ(split_experts(model_.graph(), {"model.embed_tokens.weight"}), model_.graph());
}

TEST_P(SplitExperts, WeightsAreInOneRunEach) {
    const auto away = weights_of([](const ModelPiece& piece) { return piece.expert % 3 == 0; });
    const auto split = split_experts(model_.graph(), away);
    size_t here = 0, others = 0;
    for (const Node& node : split->nodes) {
        const bool other = node.name.ends_with("(others)");
        for (const ValueId id : node.args) {
            if (id == kAbsent || split->values[id].name.find("mlp.experts.") == std::string::npos) continue;
            if (split->values[id].kind != Kind::kWeight) continue;
            EXPECT_EQ(away.contains(split->values[id].name), other) << node.name;
            ++(other ? others : here);
        }
    }
    EXPECT_EQ(others, away.size());
    EXPECT_EQ(here + others, weights_of([](const ModelPiece&) { return true; }).size());
}

INSTANTIATE_TEST_SUITE_P(Maths, SplitExperts, testing::Bool(),
                         [](const auto& info) { return info.param ? "half_w8a8" : "f32"; });

}  // namespace
}  // namespace vks
