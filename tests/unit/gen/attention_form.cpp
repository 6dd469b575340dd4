// Which form of attention the engine's steps take: as the formula says, and with the same logits up to rounding.
#include "frontend/model/attention_form.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/gen/test_engine.h"

namespace vks {
namespace {

const std::filesystem::path kModel = test::data("nano-fp8/checkpoint");
// Either is allowed 4e-2 from float64 under half (docs/numerics.md).
constexpr double kApart = 6e-2;

test::TestEngine engine(bool half, bool absorbed) {
    EngineOptions options;
    options.context = 32;
    options.chunk = 16;
    // What the expanded form replaces stays where it was asked for.
    options.placement = {{"cpu"}, {}, {}};
    if (absorbed) options.placement.op_backend["mla_attention"] = "cpu";
    return test::test_engine(kModel, options, {test::cpu_dir()}, half);
}

std::vector<float> logits(Engine& engine, const std::vector<int32_t>& ids, int64_t position) {
    const Status ran = engine.step(ids, position);
    EXPECT_TRUE(ran) << ran.error().text;
    auto logits = engine.logits();
    EXPECT_TRUE(logits);
    return *logits;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference += std::pow(double(a[i]) - b[i], 2);
        size += std::pow(double(b[i]), 2);
    }
    return std::sqrt(difference / size);
}

TEST(EngineAttention, PromptsTakeTheExpandedForm) {
    const auto either = engine(true, false), absorbed = engine(true, true);
    const std::vector<int32_t> prompt{5, 9, 2, 7, 7, 1, 30, 12, 3};
    const std::vector<float> a = logits(*either.engine, prompt, 0), b = logits(*absorbed.engine, prompt, 0);
    EXPECT_NE(a, b) << "one form for both";
    EXPECT_LT(distance(a, b), kApart);
    const std::vector<int32_t> more{4, 8, 15, 16, 23};
    EXPECT_LT(distance(logits(*either.engine, more, 9), logits(*absorbed.engine, more, 9)), kApart);
    EXPECT_NE(either.engine->explain().find(attention_rule(either.engine->config())), std::string::npos);
    EXPECT_EQ(absorbed.engine->explain().find("expanded"), std::string::npos);
}

// A few tokens behind many are cheaper on the latents; and so is every step of generation.
TEST(EngineAttention, FewTokensBehindManyKeepTheAbsorbedForm) {
    const auto either = engine(true, false), absorbed = engine(true, true);
    for (int32_t i = 0; i < 20; ++i) {
        const std::vector<int32_t> id{7 * i % 50};
        EXPECT_EQ(logits(*either.engine, id, i), logits(*absorbed.engine, id, i)) << i;
    }
    const AttentionWork work = attention_work(either.engine->config(), 20, 2);
    ASSERT_GT(work.expanded, work.absorbed);
    EXPECT_EQ(logits(*either.engine, {3, 4}, 20), logits(*absorbed.engine, {3, 4}, 20));
}

// The expanded form's bits depend on where a prompt is cut; those of f32 don't.
TEST(EngineAttention, F32IsAbsorbed) {
    const auto f32 = engine(false, false);
    EXPECT_EQ(f32.engine->explain().find("expanded"), std::string::npos);
}

}  // namespace
}  // namespace vks
