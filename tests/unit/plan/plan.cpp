// make_plan(): constants bound, memory given, kernels prepared; what a failing prepare leads to; what is shared; what a
// PlanSet keeps of it.
#include "backend/plan/plan_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "backend/graph/builder.h"
#include "tests/support/fake_device.h"

namespace vks {
namespace {

constexpr Symbol T = Symbol::kTokens;
alignas(64) float weights_of_norm[8] = {1, 2, 3, 4, 5, 6, 7, 8};

std::shared_ptr<const Graph> small(int64_t tokens = 16) {
    GraphBuilder g("small", {tokens, 1});
    const ValueId x = g.input("x", VKS_F32, {{1, T}, {8}});
    const ValueId w = g.weight("norm.weight", VKS_F32, {{8}}, reinterpret_cast<const std::byte*>(weights_of_norm));
    const ValueId y = g.rms_norm("norm", x, w, 1e-6f, VKS_F32);
    const ValueId cache = g.state("cache", VKS_F32, {{32}, {8}});
    const ValueId ids = g.input("ids", VKS_I32, {{1, T}});
    const ValueId read = g.embed("read", ids, cache, VKS_F32);
    g.output(g.add("add", y, read, VKS_F32), "z");
    auto graph = g.finish(nullptr);
    CHECK(graph, "{}", graph.error().text);
    return std::make_shared<const Graph>(std::move(*graph));
}

// Three constants of 32 bytes.
std::shared_ptr<const Graph> three(int64_t tokens = 16) {
    alignas(64) static float constants[3][8] = {};
    GraphBuilder g("three", {tokens, 1});
    ValueId x = g.input("x", VKS_F32, {{1, T}, {8}});
    for (size_t i = 0; i < 3; ++i) {
        const std::string name = std::to_string(i);
        const ValueId w = g.weight("w" + name, VKS_F32, {{8}}, reinterpret_cast<const std::byte*>(constants[i]));
        x = g.rms_norm("norm_" + name, x, w, 1e-6f, VKS_F32);
        x = g.add("add_" + name, x, x, VKS_F32);
    }
    g.output(x, "y");
    auto graph = g.finish(nullptr);
    CHECK(graph, "{}", graph.error().text);
    return std::make_shared<const Graph>(std::move(*graph));
}

// Three tables of 8192 bytes, much more than the activations.
std::shared_ptr<const Graph> tables(int64_t tokens) {
    alignas(64) static float constants[3][256 * 8] = {};
    GraphBuilder g("tables", {tokens, 1});
    ValueId x = g.input("x", VKS_F32, {{1, T}, {8}});
    const ValueId ids = g.input("ids", VKS_I32, {{1, T}});
    for (size_t i = 0; i < 3; ++i) {
        const std::string name = std::to_string(i);
        const ValueId w = g.weight("w" + name, VKS_F32, {{256}, {8}}, reinterpret_cast<const std::byte*>(constants[i]));
        x = g.add("add_" + name, x, g.embed("embed_" + name, ids, w, VKS_F32), VKS_F32);
    }
    g.output(x, "y");
    auto graph = g.finish(nullptr);
    CHECK(graph, "{}", graph.error().text);
    return std::make_shared<const Graph>(std::move(*graph));
}

// The first device's nodes are a.
std::string where(const Plan& plan) {
    std::string where;
    for (const NodeReport& node : plan.report) where += node.device == 0 ? 'a' : 'b';
    return where;
}

class Planning : public ::testing::Test {
protected:
    Planning() {
        a.id = "a";
        b.id = "b";
    }
    // Both, opened, in this order.
    Preference preference() {
        if (!first) {
            first = test::open(a);
            second = test::open(b);
        }
        Preference p;
        p.order = {first.get(), second.get()};
        p.general = 2;
        return p;
    }
    Result<std::shared_ptr<const Plan>> plan(const std::shared_ptr<const Graph>& graph = small()) {
        return make_plan(graph, preference(), weights, state);
    }
    static uint64_t bytes_on(const PlanSet& set, const Device& device) {
        MemoryUse use;
        set.count(use);
        uint64_t bytes = 0;
        for (const auto& [piece, n] : use) bytes += piece.first == &device ? n : 0;
        return bytes;
    }
    // What the first device holds where it has room for all.
    uint64_t bytes_for(const std::vector<PlanRequest>& requests) {
        PlanSet set;
        const Status made = set.make(requests);
        CHECK(made, "{}", made.error().text);
        return a.held;
    }
    static int64_t count(const test::Fake& fake, const std::string& entry) {
        return std::count(fake.log.begin(), fake.log.end(), entry);
    }
    void drop() {
        weights.clear();
        state = State();
    }

    test::Fake a, b;
    std::unique_ptr<Device> first, second;
    WeightStores weights;
    State state;
};

TEST_F(Planning, ConstantsAreImportedInPlace) {
    auto made = plan();
    ASSERT_TRUE(made) << made.error().text;
    EXPECT_EQ(count(a, "buffer 32 import"), 1);
    EXPECT_EQ(weights.at(first.get())->imported_bytes(), 32u);
    EXPECT_EQ(weights.at(first.get())->owned_bytes(), 0u);
    // x, ids, y, read, z at 512 (ids 64) bytes, of which the outputs' and inputs' live on; the cache is apart.
    EXPECT_EQ(count(a, "buffer 1024 device"), 1);
    EXPECT_EQ((*made)->launches.size(), 3u);
    EXPECT_EQ((*made)->launches[0].arg_count, 2u);  // x and y: the weight is bound
    EXPECT_EQ((*made)->launches[1].arg_count, 3u);
    EXPECT_TRUE(std::none_of(b.log.begin(), b.log.end(), [](const auto&) { return true; }));
}

TEST_F(Planning, OrCopiedWhereImportIsRefused) {
    a.imports = false;
    ASSERT_TRUE(plan());
    EXPECT_EQ(count(a, "buffer 32 device"), 1);
    EXPECT_EQ(weights.at(first.get())->owned_bytes(), 32u);
    EXPECT_EQ(count(a, "copy 32 -> 0"), 0);  // host-visible: written directly
    a.mappable = false;
    drop();
    ASSERT_TRUE(plan());
    EXPECT_EQ(count(a, "copy 32 -> 0"), 1);  // through staging memory
    EXPECT_EQ(count(a, "submit"), 1);
}

TEST_F(Planning, OrPackedInTheLayoutAskedFor) {
    a.query = [](const vks_op& op, Support& answer) {
        if (std::string(op.op) == "rms_norm/1") answer.arg_layout[1] = VKS_LAYOUT_PRIVATE + 3;
    };
    uint32_t seen = 0;
    bool bound = false;
    a.prepare = [&](const vks_op& op, std::string&) {
        if (std::string(op.op) == "rms_norm/1") {
            seen = op.args[1].layout;
            bound = op.args[1].buffer && op.args[1].flags == VKS_TENSOR_CONSTANT;
        }
        return VKS_OK;
    };
    ASSERT_TRUE(plan());
    EXPECT_EQ(count(a, "buffer 64 device"), 1);  // what packed_bytes said
    EXPECT_EQ(count(a, "copy 32 -> 65539"), 1);
    EXPECT_EQ(seen, VKS_LAYOUT_PRIVATE + 3u);
    EXPECT_TRUE(bound);
    EXPECT_EQ(weights.at(first.get())->owned_bytes(), 64u);
}

TEST_F(Planning, PlansShareConstantsAndStates) {
    auto prefill = plan(small(16)), decode = plan(small(1));
    ASSERT_TRUE(prefill && decode);
    EXPECT_EQ(count(a, "buffer 32 import"), 1);
    const ValueId cache = (*prefill)->graph->find("cache");
    EXPECT_EQ((*prefill)->devices[0].location[cache].buffer, (*decode)->devices[0].location[cache].buffer);
    EXPECT_EQ(state.bytes(*first), 32u * 8 * 4);
    EXPECT_EQ(state.bytes(*second), 0u);
}

TEST_F(Planning, ScratchLiesBehindTheValues) {
    a.query = [](const vks_op& op, Support& answer) {
        answer.scratch_bytes = std::string(op.op) == "add/1" ? 1000 : std::string(op.op) == "rms_norm/1" ? 10 : 0;
    };
    auto made = plan();
    ASSERT_TRUE(made) << made.error().text;
    const DevicePlan& d = (*made)->devices[0];
    EXPECT_EQ(d.arena_bytes, d.arena.bytes + 1000);
    EXPECT_EQ(d.scratch.offset, d.arena.bytes);
    EXPECT_EQ(d.scratch.dim[0], 1000);
    EXPECT_TRUE((*made)->launches[0].scratch);
    EXPECT_FALSE((*made)->launches[1].scratch);
}

TEST_F(Planning, APrepareThatFailsGoesElsewhere) {
    a.prepare = [](const vks_op& op, std::string& reason) -> vks_status {
        if (std::string(op.op) != "embed/1") return VKS_OK;
        reason = "compiler said no";
        return VKS_NO_MEMORY;
    };
    auto made = plan();
    ASSERT_TRUE(made) << made.error().text;
    EXPECT_EQ((*made)->report[0].device, 0u);
    EXPECT_EQ((*made)->report[1].device, 1u);
    EXPECT_EQ((*made)->report[2].device, 0u);
    EXPECT_EQ((*made)->report[1].reason, "first that supports it (a: prepare failed)");
    EXPECT_EQ((*made)->segments.size(), 3u);
    EXPECT_EQ(first->health(), Health::kOk);
}

// Room for one constant of three: the device isn't asked again for each of the others.
TEST_F(Planning, ADeviceThatIsFullGetsNoMoreConstants) {
    a.imports = false;
    a.room = [&](uint64_t bytes) { return bytes != 32 || count(a, "buffer 32 device") == 0; };
    auto made = plan(three());
    ASSERT_TRUE(made) << made.error().text;
    EXPECT_EQ(where(**made), "aababa");
    EXPECT_EQ(count(a, "prepare rms_norm/1"), 2);
    EXPECT_EQ(first->health(), Health::kOk);
}

// Activations of all plans come before any constant: no plan is left without a device that others filled.
TEST_F(Planning, PlansMadeTogetherAreAlikeOnADeviceThatIsFull) {
    a.imports = false;
    const std::vector<PlanRequest> requests = {{tables(16), preference()}, {tables(1), preference()}};
    const uint64_t all = bytes_for(requests);
    a.room = [&](uint64_t bytes) { return a.held + bytes < all; };
    PlanSet set;
    const Status made = set.make(requests);
    ASSERT_TRUE(made) << made.error().text;
    EXPECT_EQ(where(*set.plan(0)), "aaaaba");
    EXPECT_EQ(where(*set.plan(1)), "aaaaba");
}

TEST_F(Planning, AfterAShortageOtherRequestsAreMadeAnew) {
    a.imports = false;
    const std::vector<PlanRequest> requests = {{three(), preference()}, {nullptr, preference()}};
    const uint64_t all = bytes_for(requests);
    a.room = [&](uint64_t bytes) { return a.held + bytes <= all - 32; };
    int asked = 0;
    const Replan replan = [&](const Shortage& shortage) -> Result<std::vector<PlanRequest>> {
        EXPECT_EQ(shortage.device, first.get());
        EXPECT_EQ(shortage.held, all - 32);
        EXPECT_EQ(a.alive, 0);
        if (++asked > 1) return Error{Code::kNoBackend, "nothing else"};
        auto away = std::make_shared<Away>();
        away->weights = {"w0", "w1", "w2"};
        std::vector<PlanRequest> others = requests;
        others[0].preference.away[first.get()] = away;
        return others;
    };
    auto others = make_plans(nullptr, requests, replan);
    ASSERT_TRUE(others) << others.error().text;
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(where(*(*others)->plan(0)), "bbbbbb");
    others->reset();
    // Nothing else: as without asking.
    auto same = make_plans(nullptr, requests, replan);
    ASSERT_TRUE(same) << same.error().text;
    EXPECT_EQ(asked, 2);
    EXPECT_EQ(where(*(*same)->plan(0)), "aaaaba");
}

// A constant that fits into no device of its kind is no shortage.
TEST_F(Planning, WhatIsTooLargeForAnyBufferIsNoShortage) {
    a.imports = false;
    a.max_buffer = 31;
    a.room = [](uint64_t bytes) { return bytes > 32; };
    const Replan replan = [](const Shortage&) -> Result<std::vector<PlanRequest>> {
        ADD_FAILURE() << "asked";
        return Error{Code::kNoBackend, "no"};
    };
    const auto made = make_plans(nullptr, {{three(), preference()}}, replan);
    ASSERT_TRUE(made) << made.error().text;
    EXPECT_EQ(where(*(*made)->plan(0)), "bababa");
}

// Loading a model takes minutes; who no longer wants it doesn't wait for the rest.
TEST_F(Planning, StopsBetweenTwoWeights) {
    a.imports = false;
    const uint64_t all = bytes_for({{three(), preference()}});
    std::atomic<bool> stop = false;
    a.room = [&](uint64_t bytes) {
        stop = a.held + bytes == all - 32;  // the second of three constants
        return true;
    };
    a.log.clear();
    PlanSet set;
    const Status made = set.make({{three(), preference()}}, &stop);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().text, "plans: no longer wanted");
    EXPECT_EQ(count(a, "buffer 32 device"), 2);
    EXPECT_EQ(count(b, "buffer 32 device"), 0);
}

TEST_F(Planning, WhatNoPlanUsesIsGivenBack) {
    a.prepare = [](const vks_op& op, std::string&) -> vks_status {
        return std::string(op.op) == "rms_norm/1" ? VKS_NO_MEMORY : VKS_OK;
    };
    a.imports = false;
    {
        const Preference both = preference();
        PlanSet set;
        const Status made = set.make({{small(), both}, {nullptr, both}, {small(1), both}});
        ASSERT_TRUE(made) << made.error().text;
        EXPECT_EQ(count(a, "buffer 32 device"), 1);
        const uint64_t arenas = set.plan(0)->devices[0].arena_bytes + set.plan(2)->devices[0].arena_bytes;
        EXPECT_EQ(bytes_on(set, *first), arenas + 32 * 8 * 4);  // the cache, and no constant
        EXPECT_EQ(set.state.bytes(*second), 0u);
    }
    a.prepare = [](const vks_op& op, std::string&) -> vks_status {
        return std::string(op.op) == "add/1" ? VKS_INTERNAL : VKS_OK;  // the last node
    };
    {
        PlanSet set;
        const Status made = set.make({{small(), preference()}});
        ASSERT_TRUE(made) << made.error().text;
        EXPECT_EQ(a.alive, 0);
        EXPECT_EQ(set.state.bytes(*second), 32u * 8 * 4);
        EXPECT_FALSE(set.uses(*first));
    }
}

TEST_F(Planning, WithNobodyLeftTheFirstCauseIsTold) {
    const auto fail = [](const vks_op& op, std::string& reason) -> vks_status {
        reason = "compiler said no";
        return std::string(op.op) == "add/1" ? VKS_NO_MEMORY : VKS_OK;
    };
    a.prepare = fail;
    b.query = [](const vks_op& op, Support& answer) {
        answer.ok = std::string(op.op) != "add/1";
        answer.reason = "adds nothing";
    };
    auto made = plan();
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::kNoBackend);
    EXPECT_EQ(made.error().text, "prepare add add (a): out of memory: compiler said no");
}

TEST_F(Planning, ExplainsEveryNode) {
    a.query = [](const vks_op& op, Support& answer) {
        answer.ok = std::string(op.op) != "embed/1";
        answer.reason = "embed/1 is not for me";
        answer.variant = "quick";
    };
    auto made = plan();
    ASSERT_TRUE(made) << made.error().text;
    const std::string text = (*made)->explain();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
    for (const char* part : {"norm", "rms_norm", "quick", "first choice", "read", "embed", "fake",
                             "first that supports it (a: embed/1 is not for me)"})
        EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
}

TEST_F(Planning, NothingIsLeftBehind) {
    a.query = [](const vks_op& op, Support& answer) { answer.ok = std::string(op.op) != "embed/1"; };
    {
        auto made = plan();
        ASSERT_TRUE(made) << made.error().text;
        EXPECT_GT(a.alive, 0);
        EXPECT_GT(b.alive, 0);
    }
    drop();
    EXPECT_EQ(a.alive, 0);
    EXPECT_EQ(b.alive, 0);
}

}  // namespace
}  // namespace vks
