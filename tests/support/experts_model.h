// The smallest golden model with experts, as a graph for steps of a few tokens, and what a plan of it gives.
#pragma once
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "backend/exec/executor.h"
#include "frontend/model/deepseek_v3.h"
#include "frontend/model/pieces.h"
#include "tests/support/paths.h"

namespace vks::test {

class ExpertsModel {
public:
    static constexpr int64_t kTokens = 6;

    // `half`: bf16 activations, and FP8 ones before products.
    explicit ExpertsModel(bool half) {
        auto opened = Checkpoint::open(data("nano-fp8/checkpoint"));
        CHECK(opened, "{}", opened.error().text);
        checkpoint_ = std::make_shared<const Checkpoint>(*std::move(opened));
        ModelOptions options;
        options.half = options.w8a8 = half;
        options.context = options.max_tokens = options.max_rows = kTokens;
        auto built = build_main(checkpoint_, options);
        CHECK(built, "{}", built.error().text);
        model_ = *std::move(built);
    }

    const Checkpoint& checkpoint() const { return *checkpoint_; }
    const std::shared_ptr<const Graph>& graph() const { return model_.graph; }

    // Names of the weights of each expert that `choose` takes.
    template <class F>
    std::unordered_set<std::string> weights_of(F choose) const {
        std::unordered_set<std::string> names;
        for (const ModelPiece& piece : checkpoint_pieces(*checkpoint_))
            if (piece.expert >= 0 && piece.reads > 0 && choose(piece))
                for (const TensorView* tensor : piece.tensors) names.emplace(tensor->name);
        return names;
    }

    // The logits of `ids` from the sequence's beginning, by a plan of its graph or of that split.
    Result<std::vector<std::byte>> logits(Executor& executor, const Plan& plan, const std::vector<int32_t>& ids) const {
        const auto count = static_cast<int64_t>(ids.size());
        std::vector<int32_t> at, span;
        for (int32_t i = 0; i < count; ++i) {
            at.push_back(i);
            span.insert(span.end(), {0, i + 1});
        }
        const std::vector<float> rope(size_t(count * checkpoint_->config().qk_rope_head_dim), 0.6F);
        const StepInputs& in = model_.inputs;
        const std::vector<std::pair<ValueId, const void*>> inputs = {{in.ids, ids.data()},
                                                                     {in.rope, rope.data()},
                                                                     {in.slot, at.data()},
                                                                     {in.span, span.data()},
                                                                     {in.rows, at.data()}};
        Step step;
        step.bind = {count, count};
        step.inputs = inputs;
        step.state_count = count;
        VKS_TRY(executor.run(plan, step));
        const ValueId id = plan.graph->find("logits");
        std::vector<std::byte> bytes(size_t(plan.graph->bytes(plan.graph->values[id], step.bind)));
        VKS_TRY(executor.read(plan, id, bytes.data()));
        return bytes;
    }

private:
    std::shared_ptr<const Checkpoint> checkpoint_;
    ModelGraph model_;
};

}  // namespace vks::test
