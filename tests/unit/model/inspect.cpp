// Parameter and byte counts of known models, and that counting by shape and by file agree.
#include "frontend/model/inspect.h"

#include <gtest/gtest.h>

#include "frontend/model/shapes.h"
#include "tests/support/paths.h"

namespace vks {
namespace {

TEST(Inspect, DeepSeekV3) {
    const ModelStats stats = shape_stats(*named_shape("deepseek-v3"));
    EXPECT_NEAR(static_cast<double>(stats.parameters), 671.0e9, 0.05e9);
    EXPECT_NEAR(static_cast<double>(stats.active_parameters), 36.6e9, 0.05e9);
    EXPECT_NEAR(static_cast<double>(stats.mtp_parameters), 11.6e9, 0.05e9);
    EXPECT_NEAR(static_cast<double>(stats.bytes), 688.6e9, 0.05e9);
    EXPECT_EQ(stats.kv_bytes_per_token, 70272);
    EXPECT_NEAR(stats.plain_cache_ratio, 56.9, 0.05);
    EXPECT_NEAR(stats.expanded_cache_ratio, 71.1, 0.05);
    int64_t tensors = 0;
    uint64_t bytes = 0;
    for (const KindStats& kind : stats.kinds) {
        tensors += kind.tensors;
        bytes += kind.bytes;
    }
    EXPECT_EQ(tensors, 91991);  // as the released index lists
    EXPECT_EQ(bytes, stats.bytes);
}

TEST(Inspect, OtherKnownModels) {
    const struct {
        const char* name;
        double parameters, active, precision;
    } models[] = {{"kimi-k2", 1026e9, 31.7e9, 0.5e9},
                  {"moonlight-16b-a3b", 16.0e9, 2.6e9, 0.05e9},
                  {"gigachat3-10b-a1.8b", 10.6e9, 1.5e9, 0.5e9},
                  {"bench-s", 92.4e6, 41.05e6, 0.05e6},
                  {"bench-m", 1139.6e6, 250.45e6, 0.05e6}};
    for (const auto& model : models) {
        const ModelStats stats = shape_stats(*named_shape(model.name));
        EXPECT_NEAR(static_cast<double>(stats.parameters), model.parameters, model.precision) << model.name;
        EXPECT_NEAR(static_cast<double>(stats.active_parameters), model.active, model.precision) << model.name;
    }
}

TEST(Inspect, FilesAgreeWithShapes) {
    for (const char* model : {"nano-bf16", "nano-fp8", "nano-noqlora", "micro-mtp2"}) {
        SCOPED_TRACE(model);
        const auto checkpoint = Checkpoint::open(test::data(std::string(model) + "/checkpoint"));
        ASSERT_TRUE(checkpoint) << checkpoint.error().text;
        const ModelStats file = checkpoint_stats(*checkpoint), shape = shape_stats(checkpoint->config());
        EXPECT_EQ(file.parameters, shape.parameters);
        EXPECT_EQ(file.active_parameters, shape.active_parameters);
        EXPECT_EQ(file.mtp_parameters, shape.mtp_parameters);
        EXPECT_EQ(file.bytes, shape.bytes);
        EXPECT_EQ(file.unused_bytes, 0u);
        for (size_t kind = 0; kind < file.kinds.size(); ++kind) {
            EXPECT_EQ(file.kinds[kind].bytes, shape.kinds[kind].bytes) << kTensorKindNames[kind];
            EXPECT_EQ(file.kinds[kind].tensors, shape.kinds[kind].tensors) << kTensorKindNames[kind];
        }
    }
}

}  // namespace
}  // namespace vks
