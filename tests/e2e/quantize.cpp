// vkseek quantize: what it wrote runs, and its logits are as far from the original's as FP8 rounding makes them.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/e2e/goldens.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

// docs/numerics.md, "FP8 weights": each of `matrices` in a row adds kRounding, as squares. That no more than twice the
// root of their sum reaches the logits is measured, not derived.
constexpr double kRounding = 0.0265;
double expected_distance(int matrices) {
    return kRounding * std::sqrt(matrices);
}

struct Case {
    const char* model;
    int matrices;  // quantised ones a token passes: layers × (projections of attention + 3)
};

TEST(Quantize, LogitsAreWithinTheDistanceOfFp8Rounding) {
    for (const Case& c : {Case{"nano-bf16", 3 * 8}, Case{"nano-noqlora", 4 * 7}, Case{"micro-mtp2", 4 * 8}}) {
        SCOPED_TRACE(c.model);
        const TempDir dir;
        const std::string model = std::string(c.model);
        const Ran made = run_program({"quantize", test::data(model + "/checkpoint"), dir / "fp8", "--json"});
        ASSERT_EQ(made.status, 0) << made.err;
        EXPECT_EQ(made.err, "");
        const auto summary = nlohmann::json::parse(made.out, nullptr, false);
        ASSERT_TRUE(summary.is_object()) << made.out;
        EXPECT_NEAR(summary["relative_error"].get<double>(), kRounding, 0.0003);

        const auto golden = TensorFile::open(test::data(model + "/expected.safetensors"));
        ASSERT_TRUE(golden);
        for (int prompt = 0; prompt < kPrompts; ++prompt) {
            const std::string p = fmt::format("p{}.", prompt), out = dir / p;
            const Ran ran = run_program({"logits", "-m", dir / "fp8", "--math", "f32", "--ids",
                                         join(golden->integers(p + "input_ids")), "-o", out});
            ASSERT_EQ(ran.status, 0) << ran.err;
            const auto ours = TensorFile::open(out);
            ASSERT_TRUE(ours);
            const double distance =
                relative(keep_rows(ours->floats("logits"), ours->width("logits"), golden->integers(p + "rows")),
                         golden->floats(p + "logits"));
            EXPECT_LE(distance, 2 * expected_distance(c.matrices)) << prompt;
            EXPECT_GE(distance, 0.25 * expected_distance(c.matrices)) << prompt;  // nothing was quantised otherwise
        }
    }
}

TEST(Quantize, WritesShardsThatGenerateTheSame) {
    const TempDir dir;
    const std::string in = test::data("nano-bf16/checkpoint");
    const Ran one = run_program({"quantize", in, dir / "one"});
    EXPECT_EQ(one.status, 0) << one.err;
    EXPECT_EQ(one.out, "");
    EXPECT_NE(one.err.find("104 of 135 tensors quantised"), std::string::npos) << one.err;
    const Ran many = run_program({"quantize", in, dir / "many", "--shard-size", "200k", "--threads", "2"});
    EXPECT_EQ(many.status, 0) << many.err;
    EXPECT_TRUE(std::filesystem::exists(dir / "many/model-00004-of-000004.safetensors"));
    const auto text = [&](const char* model) {
        const Ran ran =
            run_program({"generate", "-m", dir / model, "-p", "one two", "-n", "8", "--temp", "0", "--ignore-eos"});
        EXPECT_EQ(ran.status, 0) << ran.err;
        return ran.out;
    };
    EXPECT_EQ(text("one"), text("many"));
    EXPECT_GT(text("one").size(), 1U);
}

TEST(Quantize, RefusalsAreOneLine) {
    const TempDir dir;
    const std::string in = test::data("nano-bf16/checkpoint"), out = dir / "out";
    const auto line = [](const std::vector<std::string>& arguments, int status) {
        const Ran ran = run_program(arguments);
        EXPECT_EQ(ran.status, status) << ran.err;
        EXPECT_EQ(ran.out, "");
        EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
        return ran.err;
    };
    EXPECT_EQ(line({"quantize", in}, 2), "vkseek: output (vkseek quantize --help): wanted IN and OUT, found only IN\n");
    EXPECT_EQ(line({"quantize", in, out, "--shard-size", "2X"}, 2),
              "vkseek: size (--shard-size): wanted a number of bytes, or of k, M, G or T, such as 2G or 2GiB, found "
              "\"2X\"\n");
    line({"quantize", in, out, "--shard-size", "-1G"}, 2);
    line({"quantize", in, out, "--shard-size", ""}, 2);
    const std::string fp8 = test::data("nano-fp8/checkpoint");
    EXPECT_EQ(line({"quantize", fp8, out}, 3), "vkseek: quantization_config (" + fp8 +
                                                   "/config.json): wanted a model that isn't quantised yet, found "
                                                   "FP8\n");
    line({"quantize", dir / "none", out}, 3);
    EXPECT_EQ(line({"quantize", in, in}, 3),
              "vkseek: output (" + in + "): wanted an empty folder or none, found files in it\n");
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace vks::test
