// What the graph is where matrices of one layer are stored as different types.
#include "frontend/model/deepseek_v3.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/rewrite_checkpoint.h"

namespace vks {
namespace {

using test::StoredTensor;

// nano-fp8 with all matrices whose names have `plain` in them as bf16.
Graph w8a8_graph(const std::string& plain) {
    const test::TempDir dir;
    test::rewrite_checkpoint("nano-fp8", dir / "m", [&](StoredTensor& tensor) {
        if (tensor.info.name.find(plain) == std::string::npos) return true;
        if (tensor.info.dtype == DType::kF8E4M3) test::retype(tensor, DType::kBF16);
        return !tensor.info.name.ends_with("_scale_inv");
    });
    auto checkpoint = Checkpoint::open(dir / "m");
    EXPECT_TRUE(checkpoint) << checkpoint.error().text;
    if (!checkpoint) return {};
    const auto shared = std::make_shared<const Checkpoint>(*std::move(checkpoint));
    const auto graph = build_main(shared, {.w8a8 = true, .context = 1});
    EXPECT_TRUE(graph) << plain << ": " << graph.error().text;
    return graph ? *graph->graph : Graph{};
}

class MixedTypes : public ::testing::TestWithParam<const char*> {};

TEST_P(MixedTypes, W8a8QuantisesTheInputOfFp8MatricesAndOfNoOther) {
    const Graph graph = w8a8_graph(GetParam());
    size_t fp8 = 0, plain = 0;
    std::set<ValueId> quantised;
    for (const Node& node : graph.nodes) {
        if (node.op == "act_quant/1") {
            EXPECT_TRUE(quantised.insert(node.args[0]).second) << node.name << ": quantised twice";
        }
        const bool grouped = node.op == "grouped_gemm/1";
        if (!grouped && node.op != "gemm/1" && node.op != "fp8_gemm/1") continue;
        const ValueId weight = node.args[grouped ? 4 : node.op == "gemm/1" ? 1 : 2];
        const bool wanted = graph.values[weight].dtype == VKS_F8_E4M3;
        EXPECT_EQ(graph.values[node.args[0]].dtype == VKS_F8_E4M3, wanted) << node.name;
        ++(wanted ? fp8 : plain);
    }
    EXPECT_GT(fp8, 0u);
    EXPECT_GT(plain, 3u) << "the head and two routers are plain in any case";
}

INSTANTIATE_TEST_SUITE_P(DeepseekV3, MixedTypes,
                         ::testing::Values("layers.0.mlp.gate_proj", "layers.0.mlp.up_proj", "shared_experts.gate_proj",
                                           "shared_experts.up_proj", ".gate_proj", ".up_proj", "_a_proj", "kv_a_proj"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::ranges::replace_if(
                                 name, [](char c) { return !std::isalnum(c); }, '_');
                             return name;
                         });

}  // namespace
}  // namespace vks
