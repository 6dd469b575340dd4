// split_experts(): a layer's experts in two runs give the same bits as in one, whichever they are.
#include "backend/plan/split.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "backend/exec/executor.h"
#include "backend/registry/registry.h"
#include "frontend/model/deepseek_v3.h"
#include "frontend/model/pieces.h"
#include "tests/support/paths.h"
#include "tests/support/plugins.h"

namespace vks {
namespace {

constexpr int64_t kTokens = 6;

class SplitExperts : public testing::TestWithParam<bool> {
protected:
    SplitExperts() : registry_({test::cpu_dir()}) {
        auto opened = Checkpoint::open(test::data("nano-fp8/checkpoint"));
        CHECK(opened, "{}", opened.error().text);
        checkpoint_ = std::make_shared<const Checkpoint>(*std::move(opened));
        ModelOptions options;
        options.half = GetParam();
        options.w8a8 = GetParam();
        options.context = options.max_tokens = options.max_rows = kTokens;
        auto built = build_main(checkpoint_, options);
        CHECK(built, "{}", built.error().text);
        model_ = *std::move(built);
        auto entries = registry_.select("cpu");
        CHECK(entries, "{}", entries.error().text);
        cpu_ = *registry_.open(*entries->front(), "threads=1");
    }

    // Names of the weights of each expert that `choose` takes.
    template <class F>
    std::unordered_set<std::string> weights_of(F choose) const {
        std::unordered_set<std::string> names;
        for (const ModelPiece& piece : checkpoint_pieces(*checkpoint_))
            if (piece.expert >= 0 && piece.reads > 0 && choose(piece))
                for (const TensorView* tensor : piece.tensors) names.emplace(tensor->name);
        return names;
    }

    std::vector<std::byte> logits(const std::shared_ptr<const Graph>& graph) {
        WeightStores weights;
        State state;
        Preference preference;
        preference.order = {cpu_};
        preference.general = 1;
        const auto plan = make_plan(graph, preference, weights, state);
        CHECK(plan, "{}", plan.error().text);
        const std::vector<int32_t> ids = {5, 9, 2, 7, 7, 1}, at = {0, 1, 2, 3, 4, 5};
        std::vector<int32_t> span;
        for (const int32_t i : at) span.insert(span.end(), {0, i + 1});
        const std::vector<float> rope(size_t(kTokens * checkpoint_->config().qk_rope_head_dim), 0.6F);
        const StepInputs& in = model_.inputs;
        const std::vector<std::pair<ValueId, const void*>> inputs = {{in.ids, ids.data()},
                                                                     {in.rope, rope.data()},
                                                                     {in.slot, at.data()},
                                                                     {in.span, span.data()},
                                                                     {in.rows, at.data()}};
        Step step;
        step.bind = {kTokens, kTokens};
        step.inputs = inputs;
        step.state_count = kTokens;
        Executor executor;
        const Status ran = executor.run(**plan, step);
        CHECK(ran, "{}", ran.error().text);
        const ValueId id = graph->find("logits");
        std::vector<std::byte> bytes(size_t(graph->bytes(graph->values[id], step.bind)));
        CHECK(executor.read(**plan, id, bytes.data()), "logits");
        return bytes;
    }

    Registry registry_;
    std::shared_ptr<const Checkpoint> checkpoint_;
    ModelGraph model_;
    Device* cpu_ = nullptr;
};

TEST_P(SplitExperts, SameBits) {
    const std::vector<std::byte> whole = logits(model_.graph);
    std::mt19937 random(11);
    for (int round = 0; round < 8; ++round) {
        const auto away = weights_of([&](const ModelPiece&) { return random() % 2 == 0; });
        const auto split = split_experts(model_.graph, away);
        ASSERT_NE(split, model_.graph);
        EXPECT_EQ(verify(*split), "");
        EXPECT_EQ(logits(split), whole) << round;
    }
}

TEST_P(SplitExperts, OneOfALayerOrAllButOne) {
    const std::vector<std::byte> whole = logits(model_.graph);
    for (const bool all_but : {false, true}) {
        const auto split = split_experts(
            model_.graph, weights_of([&](const ModelPiece& piece) { return (piece.expert == 3) != all_but; }));
        ASSERT_NE(split, model_.graph);
        EXPECT_EQ(logits(split), whole);
    }
}

// No device would have less to do.
TEST_P(SplitExperts, AllOrNoneAreNotSplit) {
    EXPECT_EQ(split_experts(model_.graph, {}), model_.graph);
    EXPECT_EQ(split_experts(model_.graph, weights_of([](const ModelPiece&) { return true; })), model_.graph);
    EXPECT_EQ(split_experts(model_.graph, {"model.embed_tokens.weight"}), model_.graph);
}

TEST_P(SplitExperts, WeightsAreInOneRunEach) {
    const auto away = weights_of([](const ModelPiece& piece) { return piece.expert % 3 == 0; });
    const auto split = split_experts(model_.graph, away);
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
