// lay_out(): on graphs of every shape no two values that live at the same time share a byte.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "backend/plan/segment.h"

namespace vks {
namespace {

// When the executor needs a value on a device, worked out here without lay_out's code: node positions, inclusive.
// Inputs are there from the start; outputs and inputs until the end (inputs may be given once and read by a node
// twice).
struct Need {
    bool here = false;
    size_t first = SIZE_MAX, last = 0;
    void at(size_t position) {
        here = true;
        first = std::min(first, position);
        last = std::max(last, position);
    }
};

std::vector<Need> needs(const Graph& graph, const std::vector<Segment>& segments, size_t device) {
    std::vector<Need> need(graph.values.size());
    for (const Segment& s : segments) {
        for (const Transfer& t : s.before) {
            if (graph.values[t.value].kind != Kind::kTemp) continue;
            // All of a segment's transfers happen together, just before its first node.
            if (t.to == device || t.from == device) need[t.value].at(s.first);
        }
        if (s.device != device) continue;
        for (size_t i = s.first; i < s.last; ++i)
            for (const ValueId id : graph.nodes[i].args)
                if (id != kAbsent && (graph.values[id].kind == Kind::kTemp || graph.values[id].kind == Kind::kInput))
                    need[id].at(i);
    }
    for (size_t id = 0; id < need.size(); ++id) {
        if (!need[id].here) continue;
        if (graph.values[id].kind == Kind::kInput) need[id].at(0);
        if (graph.values[id].kind == Kind::kInput || graph.values[id].output) need[id].at(graph.nodes.size());
    }
    return need;
}

void check(const Graph& graph, const std::vector<size_t>& devices, size_t device_count, uint64_t alignment) {
    const auto segments = cut_segments(graph, devices);
    for (size_t d = 0; d < device_count; ++d) {
        const Arena arena = lay_out(graph, segments, d, alignment);
        const std::vector<Need> need = needs(graph, segments, d);
        uint64_t all = 0;
        for (size_t a = 0; a < need.size(); ++a) {
            if (!need[a].here) {
                EXPECT_EQ(arena.offset[a], kNoOffset) << "value " << a << " has a place on a device that never sees it";
                continue;
            }
            ASSERT_NE(arena.offset[a], kNoOffset) << "value " << a;
            const uint64_t begin = arena.offset[a], end = begin + uint64_t(graph.max_bytes(graph.values[a]));
            all += (end - begin + alignment - 1) / alignment * alignment;
            EXPECT_EQ(begin % alignment, 0u);
            EXPECT_LE(end, arena.bytes);
            for (size_t b = 0; b < a; ++b) {
                if (!need[b].here || need[b].last < need[a].first || need[a].last < need[b].first) continue;
                const uint64_t other = arena.offset[b];
                const uint64_t other_end = other + uint64_t(graph.max_bytes(graph.values[b]));
                EXPECT_TRUE(end <= other || other_end <= begin)
                    << "values " << a << " [" << begin << ", " << end << ") and " << b << " [" << other << ", "
                    << other_end << ") on device " << d;
            }
        }
        EXPECT_LE(arena.bytes, all);
        EXPECT_EQ(arena.bytes % alignment, 0u);
    }
}

class Maker {
public:
    explicit Maker(uint64_t seed) : random_(seed) {}

    Graph graph() {
        Graph g;
        g.max = {below(9) + 1, below(3) + 1};
        const int64_t inputs = below(4) + 1, states = below(2), weights = below(3);
        for (int64_t i = 0; i < inputs; ++i) add(g, Kind::kInput);
        for (int64_t i = 0; i < states; ++i) add(g, Kind::kState);
        for (int64_t i = 0; i < weights; ++i) add(g, Kind::kWeight);
        const int64_t nodes = below(40) + 1;
        for (int64_t n = 0; n < nodes; ++n) {
            Node node;
            const int64_t in = below(4) + 1, out = below(3) + 1;
            const auto known = ValueId(g.values.size());
            for (int64_t i = 0; i < in; ++i) node.args.push_back(below(8) == 0 ? kAbsent : pick(known));
            node.inputs = uint32_t(in);
            for (int64_t i = 0; i < out; ++i) {
                const bool into_state = states > 0 && below(8) == 0;
                node.args.push_back(into_state ? ValueId(inputs + below(states)) : add(g, Kind::kTemp));
            }
            g.nodes.push_back(std::move(node));
        }
        for (Value& v : g.values) v.output = v.kind == Kind::kTemp && below(6) == 0;
        return g;
    }
    std::vector<size_t> devices(const Graph& g, int64_t count) {
        std::vector<size_t> of;
        size_t now = 0;
        for (size_t i = 0; i < g.nodes.size(); ++i) {
            if (below(3) == 0) now = size_t(below(count));
            of.push_back(now);
        }
        return of;
    }
    int64_t below(int64_t n) { return int64_t(random_() % uint64_t(n)); }

private:
    ValueId add(Graph& g, Kind kind) {
        const Dim rows = {below(5) + 1, below(2) ? Symbol::kTokens : Symbol::kNone};
        g.values.push_back({"v", kind, VKS_F32, {rows, {below(60) + 1}}, nullptr, false});
        return ValueId(g.values.size() - 1);
    }
    // Recent values more often than old ones, as in a model.
    ValueId pick(ValueId known) {
        const ValueId back = ValueId(below(below(4) == 0 ? int64_t(known) : std::min<int64_t>(known, 6)));
        return known - 1 - back;
    }
    std::mt19937_64 random_;
};

TEST(Arena, NothingOverlapsInRandomGraphs) {
    for (uint64_t seed = 0; seed < 400; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Maker maker(seed);
        const Graph graph = maker.graph();
        const int64_t count = maker.below(3) + 1;
        check(graph, maker.devices(graph, count), size_t(count), uint64_t{1} << (maker.below(5) + 4));
        if (HasFailure()) return;
    }
}

TEST(Arena, AChainNeedsTwoPlaces) {
    Graph graph;
    graph.max = {1, 1};
    graph.values.push_back({"in", Kind::kInput, VKS_F32, {{16}}, nullptr, false});
    for (ValueId i = 1; i <= 50; ++i) {
        graph.values.push_back({"t", Kind::kTemp, VKS_F32, {{256}}, nullptr, i == 50});
        Node node;
        node.args = {i - 1, i};
        node.inputs = 1;
        graph.nodes.push_back(std::move(node));
    }
    const Arena arena = lay_out(graph, cut_segments(graph, std::vector<size_t>(50, 0)), 0, 64);
    EXPECT_EQ(arena.bytes, 2 * 1024 + 64u);
    EXPECT_EQ(lay_out(graph, cut_segments(graph, std::vector<size_t>(50, 0)), 1, 64).bytes, 0u);
}

TEST(Arena, OutputsKeepTheirPlace) {
    // An output made first must survive everything made later.
    Graph graph;
    graph.max = {1, 1};
    for (ValueId i = 0; i < 6; ++i)
        graph.values.push_back({"v", i == 0 ? Kind::kInput : Kind::kTemp, VKS_F32, {{64}}, nullptr, i == 1});
    for (ValueId i = 1; i < 6; ++i) {
        Node node;
        node.args = {i - 1, i};
        node.inputs = 1;
        graph.nodes.push_back(std::move(node));
    }
    const Arena arena = lay_out(graph, cut_segments(graph, {0, 0, 0, 0, 0}), 0, 64);
    for (const ValueId other : {0u, 2u, 3u, 4u, 5u}) {
        EXPECT_NE(arena.offset[1], arena.offset[other]) << other;
        EXPECT_TRUE(other == 0 || arena.offset[0] != arena.offset[other]) << other;
    }
}

}  // namespace
}  // namespace vks
