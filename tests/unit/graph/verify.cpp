// verify(): every kind of mistake a graph can hold, made one at a time in a good graph.
#include <gtest/gtest.h>

#include <functional>

#include "backend/graph/builder.h"

namespace vks {
namespace {

constexpr Symbol T = Symbol::kTokens;
constexpr std::byte kMemory[64] = {};

// Values: 0 x, 1 delta, 2 w, 3 cache (unused state), 4 sum, 5 y, 6 z. Nodes: add_rms_norm, rms_norm.
Graph good() {
    GraphBuilder g("good", {16, 4});
    const ValueId x = g.input("x", VKS_F32, {{1, T}, {8}}), delta = g.input("delta", VKS_F32, {{1, T}, {8}});
    const ValueId w = g.weight("w", VKS_F32, {{8}}, kMemory);
    g.state("cache", VKS_F32, {{10}, {8}});
    const auto [sum, y] = g.add_rms_norm("first", x, delta, w, 1e-6f, VKS_F32);
    g.output(g.rms_norm("second", y, w, 1e-6f, VKS_F32), "z");
    auto graph = g.finish(nullptr);
    CHECK(graph, "{}", graph.error().text);
    return std::move(*graph);
}

void expect(const std::string& problem, const std::function<void(Graph&)>& spoil) {
    Graph graph = good();
    spoil(graph);
    EXPECT_EQ(verify(graph), problem);
}

TEST(Verify, AcceptsTheGoodGraph) {
    EXPECT_EQ(verify(good()), "");
    EXPECT_EQ(verify(Graph{}), "");
}

TEST(Verify, Values) {
    expect("value x: unknown dtype 99", [](Graph& g) { g.values[0].dtype = 99; });
    expect("value y: unknown dtype 0", [](Graph& g) {
        g.values[5].name = "y";
        g.values[5].dtype = VKS_NONE;
    });
    expect("value x: wanted rank 1 to 4, found 0", [](Graph& g) { g.values[0].shape.clear(); });
    expect("value x: wanted rank 1 to 4, found 5", [](Graph& g) { g.values[0].shape.assign(5, {1}); });
    expect("value w: wanted memory for a weight and only there", [](Graph& g) { g.values[2].host = nullptr; });
    expect("value x: wanted memory for a weight and only there", [](Graph& g) { g.values[0].host = kMemory; });
    expect("value w: wanted no weight as an output", [](Graph& g) { g.values[2].output = true; });
}

TEST(Verify, ExtentsThatDoNotFit) {
    const auto problem = [](const char* shape) {
        return std::string("value cache: wanted extents from 1 that fit memory, found ") + shape;
    };
    expect(problem("[0, 8]"), [](Graph& g) { g.values[3].shape[0].count = 0; });
    expect(problem("[-1, 8]"), [](Graph& g) { g.values[3].shape[0].count = -1; });
    expect(problem("[10, 1099511627777]"), [](Graph& g) { g.values[3].shape[1].count = (int64_t{1} << 40) + 1; });
    expect(problem("[1099511627776, 1099511627776]"), [](Graph& g) {
        g.values[3].shape = {{int64_t{1} << 40}, {int64_t{1} << 40}};
    });
    expect(problem("[9223372036854775807, 8]"), [](Graph& g) { g.values[3].shape[0].count = INT64_MAX; });
    expect(problem("[9223372036854775807T, 8]"), [](Graph& g) { g.values[3].shape[0] = {INT64_MAX, T}; });
    Graph empty = good();
    empty.max[0] = 0;
    EXPECT_EQ(verify(empty), "value x: wanted extents from 1 that fit memory, found [T, 8]");
}

TEST(Verify, Nodes) {
    expect("node second: unknown operator rms_norm/2", [](Graph& g) { g.nodes[1].op = "rms_norm/2"; });
    expect("node second: unknown operator ", [](Graph& g) { g.nodes[1].op.clear(); });
    expect("node second (rms_norm/1): wrong number of inputs or params", [](Graph& g) { g.nodes[1].params.clear(); });
    expect("node second (rms_norm/1): wrong number of inputs or params", [](Graph& g) { g.nodes[1].inputs = 1; });
    expect("node second (rms_norm/1): wrong number of inputs or params", [](Graph& g) { g.nodes[1].inputs = 9; });
    expect("node second (rms_norm/1): argument 0 is no value", [](Graph& g) { g.nodes[1].args[0] = 77; });
    expect("node second (rms_norm/1): x: wanted an activation [T, H], found none",
           [](Graph& g) { g.nodes[1].args[0] = kAbsent; });
    expect("node second (rms_norm/1): too many outputs", [](Graph& g) {
        g.values.push_back({"extra", Kind::kTemp, VKS_F32, {{1, T}, {8}}, nullptr, false});
        g.nodes[1].args.push_back(ValueId(g.values.size() - 1));
    });
}

TEST(Verify, Order) {
    expect("node first (add_rms_norm/1): reads z before it is written", [](Graph& g) { g.nodes[0].args[0] = 6; });
    expect("node second (rms_norm/1): reads z before it is written", [](Graph& g) { g.nodes[1].args[0] = 6; });
    expect("node second (rms_norm/1): reads first:add_rms_norm.1 before it is written",
           [](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); });
    expect("node second (rms_norm/1): writes first:add_rms_norm.0 a second time",
           [](Graph& g) { g.nodes[1].args[2] = 4; });
    expect("node second (rms_norm/1): writes x a second time", [](Graph& g) { g.nodes[1].args[2] = 0; });
    expect("node second (rms_norm/1): writes w a second time", [](Graph& g) { g.nodes[1].args[2] = 2; });
    expect("value z: no node writes it", [](Graph& g) { g.nodes.pop_back(); });
}

TEST(Verify, Shapes) {
    expect("node second (rms_norm/1): output 0: wanted [T, 8], found [T, 9]",
           [](Graph& g) { g.values[6].shape[1].count = 9; });
    expect("node second (rms_norm/1): output 0: wanted [T, 8], found [R, 8]",
           [](Graph& g) { g.values[6].shape[0].symbol = Symbol::kRows; });
    expect("node first (add_rms_norm/1): delta: wanted [T, 8], found f32 [16, 8]",
           [](Graph& g) { g.values[1].shape[0] = {16}; });
    expect("node first (add_rms_norm/1): w: wanted [H], found f8_e4m3 [8]",
           [](Graph& g) { g.values[2].dtype = VKS_F8_E4M3; });
}

TEST(Verify, StatesMayBeWrittenInPlaceAndReadUnwritten) {
    Graph graph = good();
    graph.values[0] = {"x", Kind::kState, VKS_F32, {{1, T}, {8}}, nullptr, false};
    graph.nodes[1].args[2] = 0;
    graph.values.pop_back();
    EXPECT_EQ(verify(graph), "");
}

}  // namespace
}  // namespace vks
