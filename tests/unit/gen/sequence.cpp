// Drafts taken back, in every pattern: each cache stays bitwise what it is in a run that never drafted.
#include "frontend/gen/sequence.h"

#include "frontend/gen/sampler.h"
#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

constexpr int64_t kPrompt = 6, kIds = 24;  // of the sequence that is right
constexpr int kMost = 4;

// A step's drafts: bit i says whether draft i is right.
struct Pattern {
    int drafts, right;
    // Those that stand.
    int accepted() const {
        int count = 0;
        while (count < drafts && (right >> count & 1) != 0) ++count;
        return count;
    }
};

std::vector<Pattern> all_patterns() {
    std::vector<Pattern> all;
    for (int drafts = 1; drafts <= kMost; ++drafts)
        for (int right = 0; right < 1 << drafts; ++right) all.push_back({drafts, right});
    return all;
}

class Rollback : public testing::TestWithParam<test::DraftingModel> {
protected:
    void SetUp() override {
        const std::filesystem::path dir = GetParam().path();
        made_ = test::drafting_engine(dir, GetParam().modules, kMost);
        EngineOptions options;
        options.mtp = GetParam().modules;
        options.all_rows = true;
        options.context = 128;
        reference_ = test::test_engine(dir, options);
        vocab_ = reference_.engine->config().vocab_size;
        write_reference();
    }

    // A greedy continuation, then all of it in one step: the logits and caches to compare with.
    void write_reference() {
        Engine& engine = *reference_.engine;
        ids_ = {0, 5, 17, 3, 99, 41};
        for (int64_t i = kPrompt; i < kIds; ++i) {
            ASSERT_TRUE(engine.step(ids_, 0));
            const auto logits = engine.logits();
            ASSERT_TRUE(logits);
            ids_.push_back(argmax(std::span(*logits).last(size_t(vocab_))));
        }
        const int64_t rows = kIds - GetParam().modules;
        ASSERT_TRUE(engine.step(std::span(ids_).first(size_t(rows)), 0));
        logits_ = *engine.logits();
        for (int k = 1; k <= GetParam().modules; ++k)
            ASSERT_TRUE(engine.mtp_step(k, std::span(ids_).subspan(size_t(k), size_t(rows))));
        for (int64_t layer = 0; layer < engine.config().num_hidden_layers + GetParam().modules; ++layer)
            caches_.push_back(*engine.cache(layer, 0, rows));
    }

    // One step that drafts as `pattern` says, and what it leaves.
    void step(Sequence& sequence, const Pattern& pattern) {
        const int64_t done = sequence.run_count();
        for (int i = 0; i < pattern.drafts; ++i) {
            const auto logits = sequence.draft();
            ASSERT_TRUE(logits) << logits.error().text;
            const int32_t right = ids_[size_t(done + 1 + i)];
            sequence.push((pattern.right >> i & 1) != 0 ? right : int32_t((right + 1) % vocab_));
        }
        ASSERT_TRUE(sequence.verify());
        const std::vector<float> rows = *made_.engine->logits();
        const size_t judged = size_t(pattern.accepted() + 1) * size_t(vocab_);  // bits after a wrong draft differ
        const float* wanted = &logits_[size_t(done * vocab_)];
        EXPECT_EQ(std::memcmp(rows.data(), wanted, judged * sizeof(float)), 0) << "logits from " << done;

        const int64_t size = done + 1 + pattern.accepted();
        sequence.truncate(size);
        EXPECT_EQ(sequence.run_count(), size);
        const int used = std::min(pattern.drafts, GetParam().modules);
        for (int k = 1; k <= used; ++k) EXPECT_EQ(sequence.rows(k), std::min(done, size - k)) << k;
        expect_caches(sequence);
        sequence.push(ids_[size_t(size)]);
    }

    void expect_caches(const Sequence& sequence) {
        const ModelConfig& config = reference_.engine->config();
        for (int64_t layer = 0; layer < config.num_hidden_layers + GetParam().modules; ++layer) {
            const int k = int(std::max<int64_t>(0, layer - config.num_hidden_layers + 1));
            const auto ours = made_.engine->cache(layer, 0, sequence.rows(k));
            ASSERT_TRUE(ours);
            const std::vector<float>& wanted = caches_[size_t(layer)];
            ASSERT_LE(ours->size(), wanted.size());
            EXPECT_EQ(std::memcmp(ours->data(), wanted.data(), ours->size() * sizeof(float)), 0) << "layer " << layer;
        }
    }

    Sequence prompt() {
        Sequence sequence(*made_.engine, GetParam().modules);
        sequence.begin(std::span(ids_).first(kPrompt));
        EXPECT_TRUE(sequence.run(kPrompt));
        EXPECT_TRUE(sequence.catch_up(kPrompt));
        sequence.push(ids_[kPrompt]);
        return sequence;
    }

    test::TestEngine made_, reference_;
    std::vector<int32_t> ids_;
    std::vector<float> logits_;
    std::vector<std::vector<float>> caches_;  // by layer
    int64_t vocab_ = 0;
};

TEST_P(Rollback, EveryPatternAfterEveryPattern) {
    for (const Pattern& first : all_patterns()) {
        for (const Pattern& second : all_patterns()) {
            SCOPED_TRACE(testing::Message()
                         << first.drafts << "/" << first.right << " then " << second.drafts << "/" << second.right);
            Sequence sequence = prompt();
            step(sequence, first);
            step(sequence, second);
            // What was left of the modules' rows is computed again.
            const int64_t done = sequence.run_count();
            for (int k = 1; k <= GetParam().modules; ++k) {
                ASSERT_TRUE(sequence.draft());
                sequence.push(ids_[size_t(done + k)]);
            }
            for (int k = 1; k <= GetParam().modules; ++k) EXPECT_EQ(sequence.rows(k), done);
            expect_caches(sequence);
            if (HasFailure()) return;
        }
    }
}

// Steps that draft nothing leave modules behind; the first draft afterwards makes up for it.
TEST_P(Rollback, ModulesCatchUp) {
    Sequence sequence = prompt();
    step(sequence, {2, 1});
    for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(sequence.run(1));
        sequence.push(ids_[size_t(sequence.run_count())]);
    }
    EXPECT_GE(sequence.behind(), 6);
    ASSERT_TRUE(sequence.catch_up(sequence.run_count() - 1));
    EXPECT_EQ(sequence.behind(), 1);
    expect_caches(sequence);
    step(sequence, {3, 7});
}

// Another prompt that begins alike: what both have stays, as far as every cache has it.
TEST_P(Rollback, PromptsShareWhatTheyHaveInCommon) {
    Sequence sequence = prompt();
    step(sequence, {4, 3});
    std::vector<int32_t> other(ids_.begin(), ids_.begin() + 8);
    other[5] = int32_t((other[5] + 1) % vocab_);
    EXPECT_EQ(sequence.begin(other), 5 - GetParam().modules);
    EXPECT_EQ(sequence.begin(std::span(ids_).first(12)), 5 - GetParam().modules);
    ASSERT_TRUE(sequence.run(12 - sequence.run_count()));
    ASSERT_TRUE(sequence.catch_up(12));
    for (int k = 1; k <= GetParam().modules; ++k) EXPECT_EQ(sequence.rows(k), 12 - k);
    expect_caches(sequence);
    sequence.push(ids_[12]);
    step(sequence, {2, 3});
}

INSTANTIATE_TEST_SUITE_P(Models, Rollback, test::drafting_models, test::drafting_name);

}  // namespace
}  // namespace vks
