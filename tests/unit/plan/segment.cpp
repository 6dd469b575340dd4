// cut_segments(): runs of one device, and what must be moved before each.
#include "backend/plan/segment.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace vks {
namespace {

// A graph of nothing but who reads and writes what. Values: kinds by letter, i input, w weight, s state, t temporary.
Graph graph_of(const std::string& kinds,
               const std::vector<std::pair<std::vector<ValueId>, std::vector<ValueId>>>& nodes) {
    Graph graph;
    graph.max = {4, 1};
    for (const char k : kinds) {
        const Kind kind = k == 'i' ? Kind::kInput : k == 'w' ? Kind::kWeight : k == 's' ? Kind::kState : Kind::kTemp;
        graph.values.push_back({std::string(1, k), kind, VKS_F32, {{16}}, nullptr, false});
    }
    for (const auto& [in, out] : nodes) {
        Node node;
        node.args = in;
        node.inputs = uint32_t(in.size());
        node.args.insert(node.args.end(), out.begin(), out.end());
        graph.nodes.push_back(std::move(node));
    }
    return graph;
}

// "0[0,2) 1[2,3)<%3@0": device, nodes, transfers with their source; and where to, if that isn't the run's device.
std::string cut(const Graph& graph, const std::vector<size_t>& devices) {
    std::string text;
    for (const Segment& s : cut_segments(graph, devices)) {
        text += fmt::format("{}{}[{},{})", text.empty() ? "" : " ", s.device, s.first, s.last);
        for (const Transfer& t : s.before) {
            text += fmt::format("<%{}@{}", t.value, t.from);
            if (t.to != s.device) text += fmt::format(">{}", t.to);
        }
    }
    return text;
}

TEST(Segments, OneDeviceIsOneRun) {
    const Graph graph = graph_of("iwttt", {{{0, 1}, {2}}, {{2, 1}, {3}}, {{3, 2}, {4}}});
    EXPECT_EQ(cut(graph, {0, 0, 0}), "0[0,3)");
    EXPECT_EQ(cut(graph, {2, 2, 2}), "2[0,3)");
    EXPECT_EQ(cut(Graph{}, {}), "");
}

TEST(Segments, InputsAndWeightsAreNotMoved) {
    const Graph graph = graph_of("iwtt", {{{0, 1}, {2}}, {{0, 1}, {3}}});
    EXPECT_EQ(cut(graph, {0, 1}), "0[0,1) 1[1,2)");
}

TEST(Segments, AValueIsMovedOnceAndStays) {
    // %2 is read twice on device 1, and once more on device 0, where it still is.
    const Graph graph = graph_of("iwtttt", {{{0, 1}, {2}}, {{2}, {3}}, {{2, 3}, {4}}, {{2, 4}, {5}}});
    EXPECT_EQ(cut(graph, {0, 1, 1, 0}), "0[0,1) 1[1,3)<%2@0 0[3,4)<%4@1");
    EXPECT_EQ(cut(graph, {0, 1, 0, 1}), "0[0,1) 1[1,2)<%2@0 0[2,3)<%3@1 1[3,4)<%4@0");
}

TEST(Segments, AbsentArgumentsAreNothing) {
    const Graph graph = graph_of("itt", {{{0, kAbsent}, {1, kAbsent}}, {{kAbsent, 1}, {2}}});
    EXPECT_EQ(cut(graph, {0, 1}), "0[0,1) 1[1,2)<%1@0");
}

TEST(Segments, AStateMovesWhereItWasWritten) {
    // %1 is the cache: written by node 0, read by node 1.
    const Graph graph = graph_of("istt", {{{0}, {1, 2}}, {{1, 2}, {3}}});
    EXPECT_EQ(cut(graph, {0, 0}), "0[0,2)");
    EXPECT_EQ(cut(graph, {0, 1}), "0[0,1) 1[1,2)<%1@0<%2@0");
    // Read without having been written in this step: it is where it is needed.
    const Graph reader = graph_of("ist", {{{0, 1}, {2}}});
    EXPECT_EQ(cut(reader, {1}), "1[0,1)");
}

// Node 1 needs only what node 0 made; nodes 2 and 3, of which the latter reads a weight, run meanwhile.
TEST(Segments, DevicesWorkSideBySide) {
    const Graph graph = graph_of("iwttttt", {{{0, 1}, {2}}, {{2}, {3}}, {{3, 1}, {4}}, {{2}, {5}}, {{4, 5}, {6}}});
    EXPECT_EQ(cut(graph, {0, 0, 0, 1, 0}), "0[0,1) 0[1,3)<%2@0>1 1[3,4) 0[4,5)<%5@1");
    // What comes from longer ago is copied before the run.
    const Graph older = graph_of("iwtttt", {{{0, 1}, {2}}, {{0}, {3}}, {{0, 1}, {4}}, {{2, 3}, {5}}});
    EXPECT_EQ(cut(older, {0, 1, 0, 1}), "0[0,1) 1[1,2) 0[2,3)<%2@0>1 1[3,4)");
    // Nothing is won where the rest reads no weights.
    const Graph light = graph_of("iwtttt", {{{0, 1}, {2}}, {{2}, {3}}, {{2}, {4}}, {{3, 4}, {5}}});
    EXPECT_EQ(cut(light, {0, 0, 1, 0}), "0[0,2) 1[2,3)<%2@0 0[3,4)<%4@1");
}

}  // namespace
}  // namespace vks
