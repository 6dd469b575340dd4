// Synthetic checkpoints: they open, their values have the spread they should, and the full layout costs nothing.
#include "frontend/io/synth.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <ctime>

#include "frontend/io/checkpoint.h"
#include "frontend/io/e4m3.h"
#include "frontend/io/random_weights.h"
#include "frontend/model/inspect.h"
#include "frontend/model/shapes.h"
#include "tests/support/paths.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

namespace fs = std::filesystem;
using test::TempDir;

// Mean of squares of the elements.
double power(const TensorView& tensor, const TensorView* scale = nullptr) {
    double sum = 0;
    const auto elements = static_cast<size_t>(tensor.shape.elements());
    const auto cols = static_cast<size_t>(tensor.shape[tensor.shape.rank - 1]);
    for (size_t i = 0; i < elements; ++i) {
        float value = 0;
        if (tensor.dtype == DType::kF32) std::memcpy(&value, tensor.data + 4 * i, 4);
        if (tensor.dtype == DType::kBF16) std::memcpy(reinterpret_cast<char*>(&value) + 2, tensor.data + 2 * i, 2);
        if (tensor.dtype == DType::kF8E4M3) {
            value = decode_e4m3(static_cast<uint8_t>(tensor.data[i]));
            EXPECT_FALSE(std::isnan(value));
        }
        if (scale != nullptr) {
            const size_t block = i / cols / 128 * static_cast<size_t>(scale->shape[1]) + i % cols / 128;
            float factor = 0;
            std::memcpy(&factor, scale->data + 4 * block, 4);
            value *= factor;
        }
        sum += static_cast<double>(value) * value;
    }
    return sum / static_cast<double>(elements);
}

SynthOptions demo_options(const fs::path& out) {
    SynthOptions options;
    options.config = *named_shape("demo");
    options.out = out;
    return options;
}

TEST(Synth, WritesACheckpointThatOpens) {
    const TempDir dir;
    SynthOptions options = demo_options(dir / "m");
    uint64_t last = 0, total = 0;
    options.progress = [&](uint64_t done, uint64_t all) {
        EXPECT_GE(done, last);
        last = done;
        total = all;
    };
    const Status status = synth(options);
    ASSERT_TRUE(status) << status.error().text;
    const auto checkpoint = Checkpoint::open(dir / "m");
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    EXPECT_EQ(config_json(checkpoint->config()), config_json(options.config));
    EXPECT_EQ(checkpoint_stats(*checkpoint).bytes, shape_stats(options.config).bytes);
    EXPECT_EQ(checkpoint->tensor_bytes(), total);
    EXPECT_EQ(last, total);
    EXPECT_EQ(checkpoint->files().size(), 1u);
}

TEST(Synth, WeightsHaveTheirSpread) {
    const TempDir dir;
    for (const bool fp8 : {true, false}) {
        SynthOptions options = demo_options(dir / (fp8 ? "fp8" : "bf16"));
        options.config.fp8 = fp8;
        ASSERT_TRUE(synth(options));
        const auto checkpoint = Checkpoint::open(options.out);
        ASSERT_TRUE(checkpoint) << checkpoint.error().text;
        const auto up = checkpoint->matrix("model.layers.2.mlp.experts.5.up_proj.weight", 128, 256);
        ASSERT_TRUE(up) << up.error().text;
        EXPECT_EQ(up->scale.has_value(), fp8);
        EXPECT_NEAR(power(up->weight, up->scale ? &*up->scale : nullptr) * 256, 1, 0.3);
        const auto o = checkpoint->matrix("model.layers.0.self_attn.o_proj.weight", 256, 256);
        EXPECT_NEAR(power(o->weight, o->scale ? &*o->scale : nullptr) * 256 * 8, 1, 0.3);
        EXPECT_NEAR(power(*checkpoint->find("model.embed_tokens.weight")), 1, 0.02);
        EXPECT_NEAR(power(*checkpoint->find("lm_head.weight")) * 256, 4, 0.08);
        EXPECT_NEAR(power(*checkpoint->find("model.norm.weight")), 1.01, 0.1);
        EXPECT_NEAR(power(*checkpoint->find("model.layers.1.mlp.gate.e_score_correction_bias")), 0.0025, 0.003);
        const TensorView* copy = checkpoint->find("model.layers.4.embed_tokens.weight");
        EXPECT_EQ(std::memcmp(copy->data, checkpoint->find("model.embed_tokens.weight")->data, copy->bytes), 0);
    }
}

TEST(Synth, SameSeedSameBytesWhateverTheShards) {
    const TempDir dir;
    SynthOptions options = demo_options(dir / "one");
    ASSERT_TRUE(synth(options));
    options.out = dir / "many";
    options.max_shard_bytes = 2'500'000;
    options.threads = 3;
    ASSERT_TRUE(synth(options));
    options.out = dir / "other";
    options.seed = 1;
    ASSERT_TRUE(synth(options));
    const auto one = Checkpoint::open(dir / "one"), many = Checkpoint::open(dir / "many"),
               other = Checkpoint::open(dir / "other");
    ASSERT_TRUE(one && many && other) << many.error().text;
    EXPECT_GT(many->files().size(), 5u);
    ASSERT_EQ(one->tensor_count(), many->tensor_count());
    for (const TensorView& tensor : one->files().front().tensors()) {
        const TensorView* same = many->find(tensor.name);
        ASSERT_NE(same, nullptr) << tensor.name;
        EXPECT_EQ(std::memcmp(tensor.data, same->data, tensor.bytes), 0) << tensor.name;
        EXPECT_NE(std::memcmp(tensor.data, other->find(tensor.name)->data, tensor.bytes), 0) << tensor.name;
        EXPECT_TRUE(same->aligned());
    }
}

// All of DeepSeek-V3: 163 shards, 91,991 tensors, 689 GB that no disk has to hold.
TEST(Synth, FullLayoutOpensFast) {
    const TempDir dir;
    SynthOptions options;
    options.config = *named_shape("deepseek-v3");
    options.out = dir / "v3";
    options.sparse = true;
    const Status status = synth(options);
    ASSERT_TRUE(status) << status.error().text;

    const std::clock_t begin = std::clock();
    const auto checkpoint = Checkpoint::open(dir / "v3");
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    const ModelStats stats = checkpoint_stats(*checkpoint);
    EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 30);  // half a second without sanitizers
    EXPECT_EQ(checkpoint->files().size(), 163u);
    EXPECT_EQ(checkpoint->tensor_count(), 91991u);
    EXPECT_NEAR(static_cast<double>(stats.bytes), 688.6e9, 0.05e9);
    EXPECT_NEAR(static_cast<double>(stats.parameters), 671.0e9, 0.05e9);
    for (const SafetensorsFile& file : checkpoint->files()) EXPECT_LT(file.file().size(), 5'000'000'000u);
    const auto q = checkpoint->matrix("model.layers.30.self_attn.q_b_proj.weight", 24576, 1536);
    ASSERT_TRUE(q) << q.error().text;
    EXPECT_EQ(q->weight.data[q->weight.bytes - 1], std::byte{0});
}

TEST(Synth, RoutersThatIgnoreTheTokenAreZeroAndNothingElseIs) {
    const TempDir dir;
    SynthOptions options = demo_options(dir / "m");
    options.one_route = true;
    ASSERT_TRUE(synth(options));
    const auto checkpoint = Checkpoint::open(dir / "m");
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    const auto power_of = [&](const char* name) { return power(*checkpoint->find(name)); };
    EXPECT_EQ(power_of("model.layers.1.mlp.gate.weight"), 0);
    EXPECT_GT(power_of("model.layers.1.mlp.gate.e_score_correction_bias"), 0);
    EXPECT_GT(power_of("model.layers.1.mlp.experts.0.gate_proj.weight"), 0);
}

TEST(Synth, CopiesATokenizer) {
    const TempDir dir;
    SynthOptions options = demo_options(dir / "m");
    options.tokenizer_dir = test::data("nano-bf16/checkpoint");
    ASSERT_TRUE(synth(options));
    EXPECT_EQ(test::read_bytes(dir / "m/tokenizer.json"), test::read_bytes(options.tokenizer_dir / "tokenizer.json"));
    EXPECT_TRUE(fs::exists(dir / "m/tokenizer_config.json"));
}

TEST(Synth, RefusesAndCleansUp) {
    const TempDir dir;
    SynthOptions options = demo_options(dir / "m");
    options.tokenizer_dir = dir / "none";
    EXPECT_FALSE(synth(options));
    EXPECT_TRUE(fs::is_empty(dir / "m"));

    options.tokenizer_dir.clear();
    ASSERT_TRUE(synth(options));
    const Status again = synth(options);
    ASSERT_FALSE(again);
    EXPECT_NE(again.error().text.find("wanted a folder without a model"), std::string::npos) << again.error().text;
    EXPECT_TRUE(fs::exists(dir / "m/config.json"));

    test::write_bytes(dir / "file", "x");
    options.out = dir / "file";
    EXPECT_FALSE(synth(options));
    options.out = dir / "huge";
    options.config = *override_shape(*named_shape("deepseek-v3"), {.layers = 1});
    options.config.vocab_size = 1 << 24;
    options.config.hidden_size = 1 << 20;  // 70 TB
    const Status huge = synth(options);
    ASSERT_FALSE(huge);
    EXPECT_NE(huge.error().text.find("wanted room for"), std::string::npos) << huge.error().text;
}

// In the middle of a file; the folder is free for another try.
TEST(Synth, AnInterruptLeavesNothing) {
    const TempDir dir;
    std::atomic<bool> interrupted{false};
    SynthOptions options = demo_options(dir / "m");
    options.interrupted = &interrupted;
    options.progress = [&](uint64_t, uint64_t) { interrupted = true; };
    const Status status = synth(options);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().text.find("found an interrupt"), std::string::npos) << status.error().text;
    EXPECT_TRUE(fs::is_empty(dir / "m"));
    interrupted = false;
    options.progress = nullptr;
    EXPECT_TRUE(synth(options));
}

TEST(RandomWeights, PiecesContinueTheStream) {
    RandomStream a(5, "x"), b(5, "x"), c(6, "x"), d(5, "y");
    std::vector<uint8_t> whole(1003), pieces(1003);
    random_e4m3(a, whole);
    random_e4m3(b, std::span(pieces).first(400));
    random_e4m3(b, std::span(pieces).subspan(400));
    EXPECT_EQ(whole, pieces);
    EXPECT_NE(c.next(), d.next());
    const double u = c.uniform();
    EXPECT_TRUE(u >= 0 && u < 1);
}

}  // namespace
}  // namespace vks
