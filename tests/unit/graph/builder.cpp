// GraphBuilder: the shapes it works out, and that the first mistake is the one that is told.
#include "backend/graph/builder.h"

#include <gtest/gtest.h>

namespace vks {
namespace {

constexpr Symbol T = Symbol::kTokens, R = Symbol::kRows;
constexpr std::byte kMemory[8192] = {};

class Builder : public ::testing::Test {
protected:
    ValueId act(int64_t columns, uint32_t dtype = VKS_F32) { return g.input("x", dtype, {{1, T}, {columns}}); }
    ValueId weight(uint32_t dtype, Dims shape) {
        const size_t n = next_++;
        return g.weight(fmt::format("w{}", n), dtype, std::move(shape), kMemory + 8 * n);
    }
    MatrixValue fp8(int64_t n, int64_t k) {
        return {weight(VKS_F8_E4M3, {{n}, {k}}), weight(VKS_F32, {{(n + 127) / 128}, {(k + 127) / 128}})};
    }
    MatrixValue plain(int64_t n, int64_t k) { return {weight(VKS_BF16, {{n}, {k}}), kAbsent}; }
    Graph finish() {
        auto graph = g.finish(nullptr);
        EXPECT_TRUE(graph) << graph.error().text;
        return graph ? std::move(*graph) : Graph{};
    }
    std::string mistake() {
        auto graph = g.finish(nullptr);
        return graph ? "" : graph.error().text;
    }
    static std::string shape(const Graph& graph, ValueId id) {
        return std::to_string(graph.values[id].dtype) + to_string(graph.values[id].shape);
    }

    GraphBuilder g{"test", {64, 8}};

private:
    size_t next_ = 0;
};

TEST_F(Builder, ShapesOfADenseBlock) {
    const ValueId ids = g.input("ids", VKS_I32, {{1, T}});
    const ValueId x = g.embed("embed", ids, weight(VKS_BF16, {{100}, {200}}), VKS_F32);
    const ValueId delta = g.input("delta", VKS_BF16, {{1, T}, {200}});
    const auto [sum, y] = g.add_rms_norm("norm", x, delta, weight(VKS_F32, {{200}}), 1e-6f, VKS_BF16);
    const ActValue quantised = g.act_quant("quant", y, false);
    const ValueId gate = g.matmul("gate", quantised, fp8(300, 200), VKS_BF16);
    const ValueId up = g.matmul("up", {y, kAbsent}, plain(300, 200), VKS_BF16);
    const ActValue plain_product = g.swiglu("plain", gate, up, VKS_BF16);
    const ActValue product = g.swiglu("swiglu", gate, up, VKS_F8_E4M3);
    const ValueId down = g.matmul("down", product, fp8(200, 300), VKS_F32);
    const ValueId total = g.add("add", sum, down, VKS_F32);
    const Graph graph = finish();
    EXPECT_EQ(shape(graph, x), "1[T, 200]");
    EXPECT_EQ(shape(graph, sum), "1[T, 200]");
    EXPECT_EQ(shape(graph, y), "2[T, 200]");
    EXPECT_EQ(shape(graph, quantised.x), "4[T, 200]");
    EXPECT_EQ(shape(graph, quantised.scale), "1[T, 2]");
    EXPECT_EQ(shape(graph, gate), "2[T, 300]");
    EXPECT_EQ(shape(graph, up), "2[T, 300]");
    EXPECT_EQ(plain_product.scale, kAbsent);
    EXPECT_EQ(shape(graph, product.x), "4[T, 300]");
    EXPECT_EQ(shape(graph, product.scale), "1[T, 3]");
    EXPECT_EQ(shape(graph, total), "1[T, 200]");
    EXPECT_EQ(graph.nodes[3].op, "fp8_gemm/1");
    EXPECT_EQ(graph.nodes[4].op, "gemm/1");
}

TEST_F(Builder, ShapesOfAMixture) {
    const ValueId x = act(64);
    const ValueId logits = g.matmul("router", {x, kAbsent}, plain(8, 64), VKS_F32);
    const auto [idx, share] = g.moe_route("route", {4, 2, 3, 1, 2.5f}, logits, weight(VKS_F32, {{8}}));
    const auto list = g.moe_dispatch("dispatch", {0, 8}, idx);
    std::vector<MatrixValue> up, down;
    for (int e = 0; e < 8; ++e) up.push_back(fp8(32, 64));
    for (int e = 0; e < 8; ++e) down.push_back(plain(64, 32));
    const ValueId inner = g.grouped_gemm("up", {x, kAbsent}, list.offset, list.row, up, VKS_F32);
    const ValueId outer = g.grouped_gemm("down", {inner, kAbsent}, list.offset, kAbsent, down, VKS_F32);
    const ValueId y = g.moe_combine("combine", outer, list.pos, share, kAbsent, VKS_F32);
    const Graph graph = finish();
    EXPECT_EQ(shape(graph, idx), "5[T, 3]");
    EXPECT_EQ(shape(graph, share), "1[T, 3]");
    EXPECT_EQ(shape(graph, list.offset), "5[9]");
    EXPECT_EQ(shape(graph, list.row), "5[3T]");
    EXPECT_EQ(shape(graph, list.pos), "5[T, 3]");
    EXPECT_EQ(shape(graph, inner), "1[3T, 32]");
    EXPECT_EQ(shape(graph, outer), "1[3T, 64]");
    EXPECT_EQ(shape(graph, y), "1[T, 64]");
    EXPECT_EQ(graph.max_bytes(graph.values[inner]), 3 * 64 * 32 * 4);
}

TEST_F(Builder, ShapesOfAttention) {
    const vks_mla_rope_append_params append = {4, 16, 8, 32, 1e-6f};
    const ValueId q = g.input("q", VKS_F32, {{1, T}, {4 * 24}}), kv = g.input("kv", VKS_F32, {{1, T}, {40}});
    const ValueId table = g.input("rope", VKS_F32, {{1, T}, {8}}), slot = g.input("slot", VKS_I32, {{1, T}});
    const ValueId span = g.input("span", VKS_I32, {{1, T}, {2}});
    const ValueId cache = g.state("kv.0", VKS_F32, {{100}, {40}});
    const ValueId q_pe =
        g.mla_rope_append("append", append, q, kv, weight(VKS_F32, {{32}}), table, slot, cache, VKS_F32);
    const MatrixValue kv_b = fp8(4 * (16 + 12), 32);
    const ValueId q_lat = g.head_gemm("absorb", {VKS_HEAD_ABSORB, 4, 16, 8, 12, 32}, q, kv_b, VKS_F32);
    const ValueId o_lat = g.mla_attention("attend", {4, 32, 8, 0.1f}, q_lat, q_pe, cache, span, VKS_F32);
    const ValueId o = g.head_gemm("expand", {VKS_HEAD_EXPAND, 4, 16, 8, 12, 32}, o_lat, kv_b, VKS_F32);
    const ValueId rows = g.input("rows", VKS_I32, {{1, R}});
    const ValueId chosen = g.embed("rows", rows, o, VKS_F32);
    const auto [value, index] = g.topk("topk", chosen, 5);
    const ValueId merged = g.mtp_merge("merge", o, o, weight(VKS_F32, {{48}}), weight(VKS_F32, {{48}}), 1e-6f, VKS_F32);
    const Graph graph = finish();
    EXPECT_EQ(shape(graph, q_pe), "1[T, 32]");
    EXPECT_EQ(shape(graph, q_lat), "1[T, 128]");
    EXPECT_EQ(shape(graph, o_lat), "1[T, 128]");
    EXPECT_EQ(shape(graph, o), "1[T, 48]");
    EXPECT_EQ(shape(graph, chosen), "1[R, 48]");
    EXPECT_EQ(shape(graph, value), "1[R, 5]");
    EXPECT_EQ(shape(graph, index), "5[R, 5]");
    EXPECT_EQ(shape(graph, merged), "1[T, 96]");
    EXPECT_EQ(graph.nodes[0].args[5], cache);
}

TEST_F(Builder, TheSameMemoryIsTheSameWeight) {
    const ValueId a = g.weight("a", VKS_F32, {{4}}, kMemory), b = g.weight("b", VKS_F32, {{4}}, kMemory);
    const ValueId c = g.weight("c", VKS_F32, {{4}}, kMemory + 64);
    EXPECT_EQ(a, b);
    EXPECT_NE(a, c);
}

TEST_F(Builder, OutputsAreFoundByName) {
    const ValueId x = act(8);
    const ValueId y = g.rms_norm("norm", x, weight(VKS_F32, {{8}}), 1e-6f, VKS_F32);
    g.output(y, "hidden");
    g.output(kAbsent, "nothing");
    const Graph graph = finish();
    EXPECT_EQ(graph.find("hidden"), y);
    EXPECT_TRUE(graph.values[y].output);
    EXPECT_EQ(graph.find("nothing"), kAbsent);
}

TEST_F(Builder, TheFirstMistakeSticks) {
    const ValueId x = act(8);
    const ValueId bad = g.rms_norm("layers.3.norm", x, weight(VKS_F32, {{9}}), 1e-6f, VKS_F32);
    EXPECT_EQ(bad, kAbsent);
    const ValueId after = g.add("later", bad, bad, VKS_F32);
    EXPECT_EQ(after, kAbsent);
    g.output(after, "out");
    EXPECT_EQ(mistake(), "node layers.3.norm (rms_norm/1): w: wanted [H], found f32 [9]");
}

TEST_F(Builder, TheGeneralFormChecksItsCounts) {
    g.call("add/1", "one", nullptr, 0, {act(8)}, {{VKS_F32}});
    EXPECT_EQ(mistake(), "node one (add/1): wrong number of inputs: 1");
}

TEST_F(Builder, AMissingScaleIsAMistake) {
    const ValueId w = weight(VKS_F8_E4M3, {{16}, {8}});
    g.call("fp8_gemm/1", "down", nullptr, 0, {act(8), kAbsent, w, kAbsent}, {{VKS_F32}});
    EXPECT_EQ(mistake(), "node down (fp8_gemm/1): w_scale: wanted f32 [1, 1], found none");
}

TEST_F(Builder, KeepsWhatTheWeightsBelongTo) {
    auto owner = std::make_shared<int>(1);
    std::weak_ptr<int> watch = owner;
    act(8);
    {
        auto graph = g.finish(std::move(owner));
        ASSERT_TRUE(graph);
        EXPECT_FALSE(watch.expired());
    }
    EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace vks
