// Pieces of a model: together they are the model, byte for byte, and what a token reads of them is what it is said to.
#include "frontend/model/pieces.h"

#include <gtest/gtest.h>

#include <set>

#include "frontend/model/inspect.h"
#include "frontend/model/shapes.h"
#include "tests/support/paths.h"

namespace vks {
namespace {

struct Sums {
    uint64_t bytes = 0;
    int64_t parameters = 0, experts = 0;
    double active = 0;  // parameters
};

Sums sums(const std::vector<ModelPiece>& pieces) {
    Sums s;
    for (const ModelPiece& piece : pieces) {
        s.bytes += piece.bytes;
        s.parameters += piece.parameters;
        s.experts += piece.expert >= 0 ? 1 : 0;
        if (piece.kind != TensorKind::kEmbedding) s.active += piece.reads * static_cast<double>(piece.parameters);
    }
    return s;
}

TEST(Pieces, AreAllOfEveryShape) {
    for (const std::string_view name : shape_names()) {
        SCOPED_TRACE(name);
        const ModelConfig config = *named_shape(name);
        const ModelStats stats = shape_stats(config);
        const Sums s = sums(shape_pieces(config));
        EXPECT_EQ(s.bytes, stats.bytes);
        EXPECT_NEAR(s.active, static_cast<double>(stats.active_parameters), 1);
        const int64_t moe_layers = config.total_layers() - config.first_k_dense_replace;
        EXPECT_EQ(s.experts, moe_layers * config.n_routed_experts);
    }
}

TEST(Pieces, ModulesCountOnceTheyRun) {
    const ModelConfig config = *named_shape("deepseek-v3");
    const auto reads_module = [](const std::vector<ModelPiece>& pieces) {
        uint64_t bytes = 0;
        for (const ModelPiece& piece : pieces)
            if (piece.kind == TensorKind::kMtp && piece.reads > 0) bytes += piece.bytes;
        return bytes;
    };
    EXPECT_EQ(reads_module(shape_pieces(config)), 0u);
    // All of the module but its copies of embedding and head, in bf16.
    const uint64_t copies = 2 * 2 * 129280ull * 7168ull;
    EXPECT_EQ(reads_module(shape_pieces(config, 1)), shape_stats(config)[TensorKind::kMtp].bytes - copies);
}

TEST(Pieces, HoldEachTensorOfTheFilesOnce) {
    for (const char* model : {"nano-bf16", "nano-fp8", "nano-noqlora", "micro-mtp2"}) {
        SCOPED_TRACE(model);
        const auto checkpoint = Checkpoint::open(test::data(std::string(model) + "/checkpoint"));
        ASSERT_TRUE(checkpoint) << checkpoint.error().text;
        const std::vector<ModelPiece> pieces = checkpoint_pieces(*checkpoint);
        std::set<const TensorView*> seen;
        uint64_t bytes = 0;
        for (const ModelPiece& piece : pieces) {
            for (const TensorView* tensor : piece.tensors) {
                EXPECT_TRUE(seen.insert(tensor).second) << tensor->name;
                bytes += tensor->bytes;
            }
        }
        EXPECT_EQ(seen.size(), checkpoint->tensor_count());
        EXPECT_EQ(bytes, checkpoint->tensor_bytes());
        EXPECT_EQ(sums(pieces).bytes, bytes);
    }
}

}  // namespace
}  // namespace vks
