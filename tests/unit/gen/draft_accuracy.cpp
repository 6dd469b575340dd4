// How often the demo model's drafts are right on its validation text: what `logits --mtp` says it is.
#include <gtest/gtest.h>

#include "frontend/gen/generator.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

constexpr int64_t kIds = 400;

std::vector<int32_t> validation_ids() {
    const auto tokenizer = Tokenizer::load(test::kDemo.path());
    CHECK(tokenizer, "{}", tokenizer.error().text);
    std::vector<int32_t> ids = *tokenizer->encode(test::read_bytes(test::data("demo_val.txt")).substr(0, 4000));
    ids.insert(ids.begin(), *tokenizer->bos_id());
    ids.resize(kIds);
    return ids;
}

// Drafts for positions 2, 3, ... when every id before is the text's: each is taken back, so that every one is made.
std::vector<int32_t> drafts(const std::vector<int32_t>& ids) {
    const auto made = test::drafting_engine(test::kDemo.path(), 1, 1, kIds);
    std::vector<int32_t> drafts;
    SpeculationOptions speculation;
    speculation.most = 1;
    speculation.known = [&](int64_t position) { return ids[size_t(position)]; };
    speculation.replace = [&](int64_t position, int32_t drafted) {
        EXPECT_EQ(position, std::ssize(drafts) + 2);
        drafts.push_back(drafted);
        return ids[size_t(position)] ^ 1;
    };
    GenerateOptions options;
    options.max_tokens = kIds - 1;
    const auto out = Generator(*made.engine, nullptr, speculation).run(std::span(ids).first(1), options, {});
    CHECK(out, "{}", out.error().text);
    EXPECT_EQ(out->mtp.accepted, 0);
    return drafts;
}

// The module's first choice in row i, for position i + 2: what `logits --mtp` writes.
std::vector<int32_t> implied(const std::vector<int32_t>& ids) {
    EngineOptions options;
    options.mtp = 1;
    options.all_rows = true;
    options.context = kIds;
    const auto made = test::test_engine(test::kDemo.path(), options);
    CHECK(made.engine->step(std::span(ids).first(kIds - 1), 0), "step");
    CHECK(made.engine->mtp_step(1, std::span(ids).last(kIds - 1)), "module");
    const std::vector<float> logits = *made.engine->mtp_logits(1);
    const auto vocab = size_t(made.engine->config().vocab_size);
    std::vector<int32_t> choices;
    for (size_t row = 0; row + 2 < size_t(kIds); ++row)
        choices.push_back(argmax(std::span(logits).subspan(row * vocab, vocab)));
    return choices;
}

double accuracy(const std::vector<int32_t>& choices, const std::vector<int32_t>& ids) {
    int64_t right = 0;
    for (size_t i = 0; i < choices.size(); ++i) right += choices[i] == ids[i + 2] ? 1 : 0;
    return double(right) / double(choices.size());
}

TEST(DraftAccuracy, OnTextIsThatOfTheModulesLogits) {
    const std::vector<int32_t> ids = validation_ids(), made = drafts(ids), wanted = implied(ids);
    ASSERT_EQ(made.size(), wanted.size() - 1);  // nothing is drafted for the last id
    EXPECT_TRUE(std::equal(made.begin(), made.end(), wanted.begin()));
    EXPECT_NEAR(accuracy(made, ids), accuracy(wanted, ids), 0.01);
    EXPECT_GT(accuracy(made, ids), 0.1);
    RecordProperty("accuracy", std::to_string(accuracy(made, ids)));
}

}  // namespace
}  // namespace vks
