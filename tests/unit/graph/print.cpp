// print() and shapes as text.
#include <gtest/gtest.h>

#include "backend/graph/builder.h"

namespace vks {
namespace {

constexpr std::byte kMemory[4096] = {};

TEST(Print, Shapes) {
    EXPECT_EQ(to_string(Dims{}), "[]");
    EXPECT_EQ(to_string({{7}}), "[7]");
    EXPECT_EQ(to_string({{1, Symbol::kTokens}, {7168}}), "[T, 7168]");
    EXPECT_EQ(to_string({{8, Symbol::kTokens}, {1}}), "[8T, 1]");
    EXPECT_EQ(to_string({{1, Symbol::kRows}}), "[R]");
}

TEST(Print, OneLinePerNode) {
    GraphBuilder g("main", {16, 1});
    const ValueId x = g.input("x", VKS_BF16, {{1, Symbol::kTokens}, {8}});
    const MatrixValue w = {g.weight("w", VKS_F16, {{4}, {8}}, kMemory), kAbsent};
    const ValueId y = g.matmul("up", {x, kAbsent}, w, VKS_F32);
    g.call("swiglu_quant/1", "act", nullptr, 0, {y, y}, {{VKS_F32}, {VKS_NONE}});
    auto graph = g.finish(nullptr);
    ASSERT_TRUE(graph) << graph.error().text;
    EXPECT_EQ(print(*graph),
              "graph main: 4 values, 2 nodes\n"
              "   0 gemm/1 up (%0 bf16 [T, 8], %1 f16 [4, 8]) -> %2 f32 [T, 4]\n"
              "   1 swiglu_quant/1 act (%2 f32 [T, 4], %2 f32 [T, 4]) -> %3 f32 [T, 4], -\n");
}

TEST(Print, LongListsAreCut) {
    GraphBuilder g("main", {16, 1});
    const ValueId x = g.input("x", VKS_F32, {{1, Symbol::kTokens}, {8}});
    const ValueId offset = g.input("offset", VKS_I32, {{17}});
    std::vector<MatrixValue> w;
    for (size_t e = 0; e < 16; ++e) w.push_back({g.weight("w", VKS_F32, {{4}, {8}}, kMemory + 128 * e), kAbsent});
    g.grouped_gemm("experts", {x, kAbsent}, offset, kAbsent, w, VKS_F32);
    auto graph = g.finish(nullptr);
    ASSERT_TRUE(graph) << graph.error().text;
    EXPECT_NE(print(*graph).find("... 28 more) -> "), std::string::npos) << print(*graph);
}

}  // namespace
}  // namespace vks
