// Opening good checkpoints and looking weights up. Bad ones: damaged_checkpoint.cpp.
#include "frontend/io/checkpoint.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "frontend/io/safetensors_writer.h"
#include "frontend/model/deepseek_v3.h"
#include "frontend/model/layout.h"
#include "tests/support/rewrite_checkpoint.h"

namespace vks {
namespace {

namespace fs = std::filesystem;
using test::Json;
using test::TempDir;

const std::string kQ = "model.layers.0.self_attn.q_a_proj.weight";

TEST(Checkpoint, OpensTheGoldenModels) {
    const struct {
        const char* name;
        size_t files, tensors;
    } models[] = {{"nano-bf16", 1, 135}, {"nano-fp8", 3, 311}, {"nano-noqlora", 1, 139}, {"micro-mtp2", 1, 287}};
    for (const auto& model : models) {
        const auto checkpoint = Checkpoint::open(test::data(std::string(model.name) + "/checkpoint"));
        ASSERT_TRUE(checkpoint) << checkpoint.error().text;
        EXPECT_EQ(checkpoint->files().size(), model.files) << model.name;
        EXPECT_EQ(checkpoint->tensor_count(), model.tensors) << model.name;
        EXPECT_TRUE(checkpoint->check_unchanged());
        EXPECT_TRUE(checkpoint->head());
        // Every tensor in the files is one the model has a use for.
        uint64_t used = 0;
        const Status status = for_each_tensor(checkpoint->config(), [&](const TensorSpec& spec) -> Status {
            for (const std::string& name : {spec.name, scale_name(spec.name)}) {
                if (const TensorView* tensor = checkpoint->find(name)) used += tensor->bytes;
            }
            return {};
        });
        ASSERT_TRUE(status);
        EXPECT_EQ(used, checkpoint->tensor_bytes()) << model.name;
    }
}

TEST(Checkpoint, Fp8MatrixHasItsScaleFromWhereverItIs) {
    const auto checkpoint = Checkpoint::open(test::data("nano-fp8/checkpoint"));
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    const auto q = checkpoint->matrix(kQ, 192, 288);
    ASSERT_TRUE(q) << q.error().text;
    EXPECT_EQ(q->weight.dtype, DType::kF8E4M3);
    ASSERT_TRUE(q->scale);
    EXPECT_EQ(q->scale->shape, (Shape{2, 3}));
    const auto down = checkpoint->matrix("model.layers.0.mlp.down_proj.weight", 288, 416);
    ASSERT_TRUE(down) << down.error().text;
    EXPECT_NE(down->weight.file, down->scale->file);

    EXPECT_FALSE(checkpoint->matrix(kQ, 288, 192));
    EXPECT_FALSE(checkpoint->matrix(kQ, 192, 288, false));
    const auto wrong = checkpoint->matrix("model.embed_tokens.weight", 640, 287);
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().text.find("model-00001-of-000003.safetensors): wanted F8_E4M3 or BF16 or F16 or F32 "
                                      "[640, 287], found BF16 [640, 288]"),
              std::string::npos)
        << wrong.error().text;
}

TEST(Checkpoint, VectorsAndSingleTensors) {
    const auto checkpoint = Checkpoint::open(test::data("nano-bf16/checkpoint"));
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    EXPECT_EQ(checkpoint->vector("model.norm.weight", 64)->view.dtype, DType::kBF16);
    EXPECT_EQ(checkpoint->vector("model.layers.1.mlp.gate.e_score_correction_bias", 8)->view.dtype, DType::kF32);
    EXPECT_FALSE(checkpoint->vector("model.norm.weight", 65));
    EXPECT_FALSE(checkpoint->vector("nothing", 1));
    EXPECT_TRUE(checkpoint->require("lm_head.weight", {DType::kBF16}, {512, 64}));
    EXPECT_FALSE(checkpoint->require("lm_head.weight", {DType::kF32}, {512, 64}));
    EXPECT_FALSE(checkpoint->matrix(kQ, 40, 64)->scale);
    EXPECT_EQ(checkpoint->find("nothing"), nullptr);
}

// A router's bias is f32 in the release; who casts a whole model to bf16 or f16 casts that, too. Its operator wants
// f32.
TEST(Checkpoint, RouterBiasIsWidenedToF32) {
    const std::string name = "model.layers.1.mlp.gate.e_score_correction_bias";
    const struct {
        DType dtype;
        std::array<uint16_t, 8> bits;
    } cases[] = {{DType::kBF16, {0x3f80, 0xbf00, 0x0000, 0x4049, 0x0001, 0xc2c8, 0x3e80, 0x8000}},
                 {DType::kF16, {0x3c00, 0xb800, 0x0000, 0x4248, 0x0001, 0xd640, 0x3400, 0x8000}}};
    for (const auto& c : cases) {
        const float least = c.dtype == DType::kBF16 ? 0x1p-133f : 0x1p-24f;
        const std::array<float, 8> wanted = {1, -0.5, 0, 3.140625, least, -100, 0.25, -0.0f};
        const TempDir dir;
        test::copy_checkpoint("nano-bf16", dir / "m");
        {
            const auto original = Checkpoint::open(test::data("nano-bf16/checkpoint"));
            ASSERT_TRUE(original) << original.error().text;
            std::vector<TensorData> tensors;
            for (const TensorView& view : original->files().front().tensors()) {
                tensors.push_back({{std::string(view.name), view.dtype, view.shape}, view.data});
                if (view.name == name) tensors.back() = {{name, c.dtype, {8}}, c.bits.data()};
            }
            ASSERT_TRUE(write_safetensors(dir / "m/model.safetensors", tensors));
        }
        const auto checkpoint = Checkpoint::open(dir / "m");
        ASSERT_TRUE(checkpoint) << checkpoint.error().text;
        const auto bias = checkpoint->f32_vector(name, 8);
        ASSERT_TRUE(bias) << bias.error().text;
        EXPECT_EQ(bias->view.dtype, DType::kF32);
        ASSERT_EQ(bias->view.bytes, sizeof wanted);
        EXPECT_EQ(std::memcmp(bias->view.data, wanted.data(), sizeof wanted), 0);
        EXPECT_EQ(checkpoint->f32_vector(name, 8)->view.data, bias->view.data) << "copied twice";
        EXPECT_FALSE(checkpoint->f32_vector(name, 9));
        const auto shared = std::make_shared<const Checkpoint>(*Checkpoint::open(dir / "m"));
        const auto graph = build_main(shared, {.context = 1});
        EXPECT_TRUE(graph) << graph.error().text;
    }
    const auto released = Checkpoint::open(test::data("nano-bf16/checkpoint"));
    EXPECT_EQ(released->f32_vector(name, 8)->view.data, released->find(name)->data) << "copied without need";
}

TEST(Checkpoint, LookupsSurviveAMove) {
    auto opened = Checkpoint::open(test::data("nano-fp8/checkpoint"));
    ASSERT_TRUE(opened);
    const TensorView* before = opened->find(kQ);
    const Checkpoint moved = *std::move(opened);
    EXPECT_EQ(moved.find(kQ), before);
    EXPECT_EQ(before->name, kQ);
}

TEST(Checkpoint, TiedHeadIsTheEmbedding) {
    const TempDir dir;
    test::copy_checkpoint("nano-noqlora", dir / "m");
    test::edit_json(dir / "m/config.json", [](Json& c) { c["tie_word_embeddings"] = true; });
    test::edit_header(dir / "m/model.safetensors", [](Json& h) {
        h["unused"] = h["lm_head.weight"];
        h.erase("lm_head.weight");
    });
    const auto checkpoint = Checkpoint::open(dir / "m");
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    EXPECT_EQ(checkpoint->head()->weight.name, "model.embed_tokens.weight");
}

TEST(Checkpoint, MtpModulesMayBeLeftAside) {
    const TempDir dir;
    test::copy_checkpoint("micro-mtp2", dir / "m");
    for (const int modules : {1, 0}) {
        test::edit_json(dir / "m/config.json", [&](Json& c) { c["num_nextn_predict_layers"] = modules; });
        const auto checkpoint = Checkpoint::open(dir / "m");
        ASSERT_TRUE(checkpoint) << checkpoint.error().text;
        EXPECT_EQ(checkpoint->config().total_layers(), 4 + modules);
    }
}

// The graphs use the main model's embedding and head; some converters leave the copies out.
TEST(Checkpoint, MtpModulesNeedNoCopiesOfEmbeddingAndHead) {
    for (const bool tied : {false, true}) {
        const TempDir dir;
        test::rewrite_checkpoint("nano-bf16", dir / "m", [&](const test::StoredTensor& tensor) {
            const std::string& name = tensor.info.name;
            return name != "model.layers.3.embed_tokens.weight" && name != "model.layers.3.shared_head.head.weight" &&
                   !(tied && name == "lm_head.weight");
        });
        test::edit_json(dir / "m/config.json", [&](Json& c) { c["tie_word_embeddings"] = tied; });
        auto opened = Checkpoint::open(dir / "m");
        ASSERT_TRUE(opened) << opened.error().text;
        EXPECT_TRUE(opened->warnings().empty());
        const auto checkpoint = std::make_shared<const Checkpoint>(*std::move(opened));
        const auto graph = build_mtp(checkpoint, 1, {.context = 1});
        EXPECT_TRUE(graph) << graph.error().text;
    }
}

TEST(Checkpoint, ExpertsOfALayerHaveOneType) {
    const TempDir dir;
    const std::string name = "model.layers.2.mlp.experts.3.up_proj.weight";
    test::rewrite_checkpoint("nano-fp8", dir / "m", [&](test::StoredTensor& tensor) {
        if (tensor.info.name == name) test::retype(tensor, DType::kBF16);
        return tensor.info.name != scale_name(name);
    });
    const auto checkpoint = Checkpoint::open(dir / "m");
    ASSERT_FALSE(checkpoint);
    EXPECT_EQ(checkpoint.error().text,
              "tensor \"" + name + "\" (" + (dir / "m/model.safetensors").string() +
                  "): wanted F8_E4M3, as \"model.layers.2.mlp.experts.0.up_proj.weight\" is, found BF16");
}

// Without a trace of the modules that config.json speaks of, the main model is all there is.
TEST(Checkpoint, MissingMtpModulesAreNotCounted) {
    const TempDir dir;
    test::rewrite_checkpoint("nano-bf16", dir / "m", [](const test::StoredTensor& tensor) {
        return !tensor.info.name.starts_with("model.layers.3.");
    });
    const auto checkpoint = Checkpoint::open(dir / "m");
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    EXPECT_EQ(checkpoint->config().num_nextn_predict_layers, 0);
    ASSERT_EQ(checkpoint->warnings().size(), 1u);
    EXPECT_EQ(checkpoint->warnings().front(), "MTP modules (" + (dir / "m/model.safetensors").string() +
                                                  "): wanted 1, as num_nextn_predict_layers says, found none");
}

TEST(Checkpoint, GenerationConfigDecidesWhereTextEnds) {
    const TempDir dir;
    test::copy_checkpoint("nano-bf16", dir / "m");
    test::edit_json(dir / "m/generation_config.json", [](Json& g) { g["eos_token_id"] = {7, 8}; });
    const auto checkpoint = Checkpoint::open(dir / "m");
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    EXPECT_EQ(checkpoint->config().eos_token_ids, (std::vector<int32_t>{7, 8}));
}

// Links out of the folder are how Hugging Face's cache keeps files; names out of it are refused.
TEST(Checkpoint, FilesMayBeLinks) {
    const TempDir dir;
    fs::create_directories(dir / "snapshot");
    for (const auto& entry : fs::directory_iterator(test::data("nano-fp8/checkpoint"))) {
        fs::create_symlink(fs::absolute(entry.path()), dir / "snapshot" / entry.path().filename());
    }
    const auto checkpoint = Checkpoint::open(dir / "snapshot");
    EXPECT_TRUE(checkpoint) << checkpoint.error().text;
}

// A header that isn't padded puts data at odd addresses; what is looked up is aligned, and the same bytes.
TEST(Checkpoint, OddAddressesAreEvenedOut) {
    const TempDir dir;
    test::copy_checkpoint("nano-bf16", dir / "m");
    test::RawFile raw = test::read_raw(dir / "m/model.safetensors");
    raw.header += ' ';
    test::write_raw(dir / "m/model.safetensors", raw);
    const auto checkpoint = Checkpoint::open(dir / "m");
    const auto original = Checkpoint::open(test::data("nano-bf16/checkpoint"));
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    EXPECT_FALSE(checkpoint->find(kQ)->aligned());
    const auto q = checkpoint->matrix(kQ, 40, 64);
    ASSERT_TRUE(q) << q.error().text;
    EXPECT_TRUE(q->weight.aligned());
    EXPECT_EQ(std::memcmp(q->weight.data, original->find(kQ)->data, q->weight.bytes), 0);
    EXPECT_EQ(checkpoint->copied_bytes(), q->weight.bytes);
    EXPECT_EQ(checkpoint->matrix(kQ, 40, 64)->weight.data, q->weight.data) << "copied twice";
    EXPECT_EQ(checkpoint->copied_bytes(), q->weight.bytes);
    ASSERT_TRUE(original->matrix(kQ, 40, 64));
    EXPECT_EQ(original->copied_bytes(), 0u);
    EXPECT_TRUE(checkpoint->vector("model.norm.weight", 64)->view.aligned());
}

// Of files that don't fit, a large page would push out others.
TEST(Checkpoint, PrefersLargePagesIfAllFits) {
    const auto checkpoint = Checkpoint::open(test::data("nano-fp8/checkpoint"));
    ASSERT_TRUE(checkpoint) << checkpoint.error().text;
    uint64_t bytes = 0;
    for (const SafetensorsFile& file : checkpoint->files()) bytes += file.file().size();
    EXPECT_FALSE(checkpoint->prefer_large_pages(0));
    EXPECT_FALSE(checkpoint->prefer_large_pages(bytes));
    EXPECT_TRUE(checkpoint->prefer_large_pages(bytes + 1));
}

TEST(Checkpoint, SeesAShardThatChanged) {
    const TempDir dir;
    test::copy_checkpoint("nano-fp8", dir / "m");
    const auto checkpoint = Checkpoint::open(dir / "m");
    ASSERT_TRUE(checkpoint);
    const fs::path shard = dir / "m/model-00002-of-000003.safetensors";
    fs::resize_file(shard, fs::file_size(shard) - 1);
    const Status status = checkpoint->check_unchanged();
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().text.find("model-00002"), std::string::npos);
}

}  // namespace
}  // namespace vks
