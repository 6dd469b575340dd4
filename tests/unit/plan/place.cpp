// place(): by order, by cost, by name; barred pairs; and the message when nobody is left.
#include <gtest/gtest.h>

#include "backend/graph/builder.h"
#include "backend/plan/placement.h"
#include "tests/support/fake_device.h"

namespace vks {
namespace {

constexpr Symbol T = Symbol::kTokens;
constexpr std::byte kMemory[64] = {};

// A chain: norm_0, add_1, norm_2, add_3 ... on [16, 8] f32: 512 bytes between two nodes.
Graph chain(size_t nodes, int64_t tokens = 16) {
    GraphBuilder g("chain", {tokens, 1});
    ValueId x = g.input("x", VKS_F32, {{1, T}, {8}});
    const ValueId w = g.weight("w", VKS_F32, {{8}}, kMemory);
    for (size_t i = 0; i < nodes; ++i)
        x = i % 2 == 0 ? g.rms_norm("norm_" + std::to_string(i), x, w, 1e-6f, VKS_F32)
                       : g.add("add_" + std::to_string(i), x, x, VKS_F32);
    g.output(x, "y");
    auto graph = g.finish(nullptr);
    CHECK(graph, "{}", graph.error().text);
    return std::move(*graph);
}

class Placing : public ::testing::Test {
protected:
    Placing() {
        for (const char* id : {"a", "b", "c"}) {
            auto fake = std::make_unique<test::Fake>();
            fake->id = id;
            fakes.push_back(std::move(fake));
            devices.push_back(test::open(*fakes.back()));
            preference.order.push_back(devices.back().get());
        }
        preference.general = 3;
    }
    // Everyone supports everything, at `ns` a node.
    void support(const Graph& graph, const std::vector<uint64_t>& ns) {
        table.assign(graph.nodes.size(), {});
        for (auto& row : table)
            for (const uint64_t est : ns) {
                row.emplace_back();
                row.back().ok = true;
                row.back().est_ns = est;
            }
    }
    void refuse(size_t node, size_t device, const std::string& reason) {
        table[node][device].ok = false;
        table[node][device].reason = reason;
    }
    // "abba", or the error.
    std::string where(const Graph& graph) {
        auto result = place(graph, preference, table, barred);
        if (!result) {
            EXPECT_EQ(result.error().code, Code::kNoBackend);
            return result.error().text;
        }
        places = std::move(*result);
        std::string text;
        for (const NodePlace& p : places) text += preference.order[p.device]->id();
        return text;
    }

    std::vector<std::unique_ptr<test::Fake>> fakes;
    std::vector<std::unique_ptr<Device>> devices;
    Preference preference;
    SupportTable table;
    Barred barred;
    std::vector<NodePlace> places;
};

TEST_F(Placing, ByOrderTheFirstThatSupportsIt) {
    const Graph graph = chain(4);
    support(graph, {100, 1, 1});
    refuse(1, 0, "no add here");
    refuse(3, 0, "no add here");
    refuse(3, 1, "nor here");
    EXPECT_EQ(where(graph), "abac");
    EXPECT_EQ(places[0].reason, "first choice");
    EXPECT_EQ(places[1].reason, "first that supports it (a: no add here)");
    EXPECT_EQ(places[3].reason, "first that supports it (a: no add here; b: nor here)");
}

TEST_F(Placing, TheOnlyDevice) {
    preference.order.resize(1);
    preference.general = 1;
    const Graph graph = chain(2);
    support(graph, {0});
    EXPECT_EQ(where(graph), "aa");
    EXPECT_EQ(places[0].reason, "the only device");
}

TEST_F(Placing, BarredPairsAreNotUsed) {
    const Graph graph = chain(2);
    support(graph, {1, 1, 1});
    barred = {{0, 0}, {1, 0}, {1, 1}};
    EXPECT_EQ(where(graph), "bc");
    EXPECT_EQ(places[1].reason, "first that supports it (a: prepare failed; b: prepare failed)");
    preference.cheapest = true;
    EXPECT_EQ(where(graph), "cc");
    EXPECT_NE(places[1].reason.find("a: prepare failed"), std::string::npos) << places[1].reason;
}

TEST_F(Placing, ByCostAMoveMustPay) {
    preference.cheapest = true;
    // A hand-over costs 20 us and more, so a gain of 19 us on one node doesn't pay and one of 60 us on two does.
    const Graph graph = chain(5);
    support(graph, {100'000, 100'000, 200'000});
    table[2][1].est_ns = 81'000;
    EXPECT_EQ(where(graph), "bbbbb");  // b is as good everywhere else
    for (const size_t i : {0, 1, 3, 4}) table[i][1].est_ns = 130'000;
    EXPECT_EQ(where(graph), "aaaaa");
    table[2][1].est_ns = 10'000;
    EXPECT_EQ(where(graph), "aabaa");
    EXPECT_EQ(places[2].reason, "cheapest path, 10.0 us here; a: 100.0 us; c: 200.0 us");
    refuse(3, 0, "not this one");
    EXPECT_EQ(where(graph), "aabba");
    EXPECT_EQ(places[3].reason, "cheapest path, 130.0 us here; a: not this one; c: 200.0 us");
}

TEST_F(Placing, ByCostTheBestPathNotTheBestNodes) {
    preference.cheapest = true;
    // Going greedily to b for the first node would cost a move back.
    const Graph graph = chain(3);
    support(graph, {50'000, 40'000, 500'000});
    table[1][1].est_ns = 70'000;
    table[2][1].est_ns = 70'000;
    EXPECT_EQ(where(graph), "aaa");
    // The last node decides where the path ends.
    table[2][2].est_ns = 1;
    table[2][0].est_ns = table[2][1].est_ns = 900'000;
    EXPECT_EQ(where(graph), "aac");
}

TEST_F(Placing, ByCostWithoutEstimatesBandwidthDecides) {
    fakes[1]->memory_bytes_per_s = 1'000'000'000'000;
    fakes[1]->link_bytes_per_s = 16'000'000'000;
    devices[1] = test::open(*fakes[1]);
    preference.order[1] = devices[1].get();
    preference.cheapest = true;
    const Graph graph = chain(3);
    support(graph, {0, 0, 0});
    EXPECT_EQ(where(graph), "bbb");
}

// Nothing is known but that one is a CPU: what the others refuse is worth a move there and back, and no more.
TEST_F(Placing, ByCostWithNothingKnownAFallbackGetsTheRest) {
    fakes[2]->flags = VKS_DEVICE_HOST_MEMORY | VKS_DEVICE_FALLBACK;
    devices[2] = test::open(*fakes[2]);
    preference.order[2] = devices[2].get();
    preference.cheapest = true;
    const Graph graph = chain(7, 4096);
    support(graph, {0, 0, 0});
    EXPECT_EQ(where(graph), "aaaaaaa");
    refuse(3, 0, "not this one");
    refuse(3, 1, "not this one");
    EXPECT_EQ(where(graph), "aaacaaa");
    for (size_t i = 4; i < 7; ++i) barred.insert({i, 0});
    EXPECT_EQ(where(graph), "aaacbbb");
    for (size_t i = 4; i < 7; ++i) barred.insert({i, 1});
    EXPECT_EQ(where(graph), "aaacccc");
}

TEST_F(Placing, ByCostOneNodeAndNone) {
    preference.cheapest = true;
    const Graph one = chain(1);
    support(one, {3, 2, 1});
    EXPECT_EQ(where(one), "c");
    const Graph none;
    support(none, {});
    EXPECT_EQ(where(none), "");
}

TEST_F(Placing, AnOperatorByName) {
    const Graph graph = chain(4);
    support(graph, {1, 1, 1});
    preference.per_op["add"] = devices[2].get();
    EXPECT_EQ(where(graph), "acac");
    EXPECT_EQ(places[1].reason, "--op add=c");
    preference.cheapest = true;
    EXPECT_EQ(where(graph), "cccc");  // not worth the moves
    EXPECT_EQ(places[1].reason, "--op add=c");
    for (const size_t i : {0, 2}) table[i][2].est_ns = 1'000'000;
    EXPECT_EQ(where(graph), "acac");
}

// Devices behind `general` are there for the operators that name them only.
TEST_F(Placing, ANamedDeviceServesNothingElse) {
    const Graph graph = chain(4);
    support(graph, {1'000'000, 1, 1});
    preference.general = 1;
    preference.per_op["add"] = devices[2].get();
    for (const bool cheapest : {false, true}) {
        preference.cheapest = cheapest;
        EXPECT_EQ(where(graph), "acac");
    }
    refuse(0, 0, "not today");
    EXPECT_EQ(where(graph), "operator rms_norm (norm_0): wanted a backend that supports it, found none (a: not today)");
}

TEST_F(Placing, NobodySupportsIt) {
    const Graph graph = chain(2);
    support(graph, {1, 1, 1});
    refuse(1, 0, "first reason");
    refuse(1, 1, "second reason");
    barred.insert({1, 2});
    const std::string wanted =
        "operator add (add_1): wanted a backend that supports it, found none "
        "(a: first reason; b: second reason; c: prepare failed)";
    EXPECT_EQ(where(graph), wanted);
    preference.cheapest = true;
    EXPECT_EQ(where(graph), wanted);
}

TEST_F(Placing, TheNamedDeviceRefuses) {
    const Graph graph = chain(2);
    support(graph, {1, 1, 1});
    refuse(1, 2, "f8 only");
    preference.per_op["add"] = devices[2].get();
    for (const bool cheapest : {false, true}) {
        preference.cheapest = cheapest;
        EXPECT_EQ(where(graph), "operator add (add_1): wanted a backend that supports it, found none (c: f8 only)");
    }
}

TEST_F(Placing, NoDeviceAtAll) {
    preference.order.clear();
    preference.general = 0;
    const Graph graph = chain(1);
    support(graph, {});
    EXPECT_EQ(where(graph), "operator rms_norm (norm_0): wanted a backend that supports it, found none (no device)");
}

TEST_F(Placing, EqualQuestionsAreAskedOnce) {
    int asked = 0;
    fakes[0]->query = [&](const vks_op&, Support&) { ++asked; };
    fakes[1]->query = [&](const vks_op& op, Support& answer) {
        answer.ok = std::string(op.op) == "add/1";
        answer.reason = "adds only";
    };
    devices[2]->mark(Health::kLost, "await (c): device lost");
    const Graph graph = chain(6);
    table = ask_support(graph, preference);
    EXPECT_EQ(asked, 2);
    ASSERT_EQ(table.size(), 6u);
    for (size_t i = 0; i < 6; ++i) {
        ASSERT_EQ(table[i].size(), 3u);
        EXPECT_TRUE(table[i][0].ok);
        EXPECT_EQ(table[i][1].ok, i % 2 == 1);
        EXPECT_FALSE(table[i][2].ok);
        EXPECT_EQ(table[i][2].reason, "await (c): device lost");
    }
    EXPECT_EQ(table[2][1].reason, "adds only");
}

// What a plugin is asked: maxima as negative first dims, constants flagged, absent arguments empty.
TEST_F(Placing, TheQuestion) {
    std::vector<vks_tensor> args;
    const Graph graph = chain(1);
    const vks_op op = describe(graph, graph.nodes[0], args);
    EXPECT_STREQ(op.op, "rms_norm/1");
    EXPECT_EQ(op.params_size, sizeof(vks_norm_params));
    ASSERT_EQ(op.arg_count, 3u);
    EXPECT_EQ(op.args[0].dim[0], -16);
    EXPECT_EQ(op.args[0].dim[1], 8);
    EXPECT_EQ(op.args[0].stride[0], 8);
    EXPECT_EQ(op.args[0].stride[1], 1);
    EXPECT_EQ(op.args[0].flags, 0u);
    EXPECT_EQ(op.args[1].dim[0], 8);
    EXPECT_EQ(op.args[1].flags, uint32_t{VKS_TENSOR_CONSTANT});
    EXPECT_EQ(op.args[1].buffer, nullptr);
}

}  // namespace
}  // namespace vks
