// Plugins that load and then misbehave: the call says so in one line, the device's health goes down where it must, and
// the program lives on.
#include <gtest/gtest.h>

#include "backend/base/bad_input.h"
#include "backend/exec/executor.h"
#include "backend/graph/builder.h"
#include "backend/registry/findings.h"
#include "backend/registry/registry.h"
#include "tests/abi/bad_plugins/copies.h"
#include "tests/support/plugins.h"

namespace vks {
namespace {

constexpr float kOnes[8] = {1, 1, 1, 1, 1, 1, 1, 1};

std::shared_ptr<const Graph> one_norm() {
    GraphBuilder g("one", {4, 1});
    const ValueId x = g.input("x", VKS_F32, {{1, Symbol::kTokens}, {8}});
    const ValueId w = g.weight("w", VKS_F32, {{8}}, reinterpret_cast<const std::byte*>(kOnes));
    g.output(g.rms_norm("norm", x, w, 1e-6f, VKS_F32), "y");
    auto graph = g.finish(nullptr);
    CHECK(graph, "{}", graph.error().text);
    return std::make_shared<const Graph>(std::move(*graph));
}

// What came of running the graph on `way`'s device, or on the CPU when that one won't.
struct Outcome {
    std::string error;   // of whichever step failed, empty when none did
    std::string device;  // where the node was placed
    std::string reason;  // why there
    Health health = Health::kOk;
    std::string health_reason;
};

class Misbehaving : public ::testing::Test {
protected:
    Outcome run(const std::string& way) {
        Outcome outcome;
        const test::TempDir dir;
        test::make_bad(dir, way);
        Registry registry({dir.path(), test::cpu_dir()});
        auto chosen = registry.select(way);
        auto fallback = registry.select("cpu");
        if (!chosen || !fallback) {
            outcome.error = (chosen ? fallback : chosen).error().text;
            return outcome;
        }
        auto bad = registry.open(*chosen->front(), "");
        auto cpu = registry.open(*fallback->front(), "threads=1");
        if (!bad || !cpu) {
            outcome.error = (bad ? cpu : bad).error().text;
            return outcome;
        }
        const Status status = step({*bad, *cpu}, outcome);
        if (!status) outcome.error = status.error().text;
        outcome.health = (*bad)->health();
        outcome.health_reason = (*bad)->health_reason();
        return outcome;
    }

private:
    static Status step(std::vector<Device*> order, Outcome& outcome) {
        const auto graph = one_norm();
        WeightStores weights;
        State state;
        Preference preference;
        preference.general = order.size();
        preference.order = std::move(order);
        VKS_ASSIGN(const auto plan, make_plan(graph, preference, weights, state));
        outcome.device = plan->devices[plan->report[0].device].device->id();
        outcome.reason = plan->report[0].reason;
        Executor executor;
        std::vector<float> x(32, 2.0f), y(32);
        const std::pair<ValueId, const void*> input = {graph->find("x"), x.data()};
        Step step;
        step.bind = {4, 1};
        step.inputs = {&input, 1};
        VKS_TRY(executor.run(*plan, step));
        return executor.read(*plan, graph->find("y"), y.data());
    }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_F(Misbehaving, AtOpen) {
    EXPECT_EQ(run("open_throws").error, "open (open_throws): internal error: exception: out of a plugin");
    EXPECT_EQ(run("open_throws_int").error, "open (open_throws_int): internal error: unknown exception");
    EXPECT_EQ(run("open_fails").error, "open (open_fails): internal error: told to fail");
    EXPECT_EQ(run("open_null").error, "open (open_null): success without a device");
    EXPECT_EQ(run("open_garbage").error, "open (open_garbage): unknown status");
    EXPECT_TRUE(contains(run("open_shouts").error, "open (open_shouts): invalid call: A\\x1b\\xff\\x0aA"));
    EXPECT_EQ(run("info_throws").error, "info (info_throws): internal error: exception: out of a plugin");
    EXPECT_TRUE(contains(run("info_alignment").error, "wanted a power of two up to 65536 as alignment, found 48"));
    EXPECT_TRUE(contains(run("unusable").error, "wanted one that is usable, found unusable"));
}

TEST_F(Misbehaving, BeforeItRunsTheNodeGoesElsewhere) {
    const struct {
        const char* way;
        const char* reason;
        Health health;
    } cases[] = {
        {"query_throws", "internal error: exception: out of a plugin", Health::kUnhealthy},
        {"query_garbage", "unknown status", Health::kUnhealthy},
        {"query_lost", "device lost: fell off the bus", Health::kLost},
        {"query_shouts", "invalid call: A\\x1b\\xff", Health::kOk},
        {"query_verdict", "unsupported", Health::kOk},
        {"query_scratch", "scratch: wanted at most", Health::kOk},
        {"query_layout", "layout: wanted row-major or a private one, found 5", Health::kOk},
        {"prepare_throws", "prepare failed", Health::kUnhealthy},
        {"prepare_null", "prepare failed", Health::kOk},
        {"prepare_garbage", "prepare failed", Health::kUnhealthy},
        {"prepare_fails", "prepare failed", Health::kUnhealthy},
        {"prepare_lost", "prepare failed", Health::kLost},
        {"stream_null", "prepare failed", Health::kOk},  // wanted for the weight
        {"stream_throws", "prepare failed", Health::kUnhealthy},
        {"fence_null", "prepare failed", Health::kOk},
        {"buffer_null", "prepare failed", Health::kOk},  // memory for activations: nothing can be there
    };
    for (const auto& c : cases) {
        const Outcome outcome = run(c.way);
        EXPECT_EQ(outcome.error, "") << c.way;
        EXPECT_EQ(outcome.device, "cpu") << c.way;
        EXPECT_TRUE(contains(outcome.reason, c.reason)) << c.way << ": " << outcome.reason;
        EXPECT_EQ(outcome.health, c.health) << c.way;
    }
}

TEST_F(Misbehaving, WhileRunningTheStepFails) {
    const struct {
        const char* way;
        const char* error;
        Health health;
    } cases[] = {
        {"launch_throws", "rms_norm norm (launch_throws): internal error: exception: out of a plugin",
         Health::kUnhealthy},
        {"launch_lost", "rms_norm norm (launch_lost): device lost: fell off the bus", Health::kLost},
        {"launch_garbage", "rms_norm norm (launch_garbage): unknown status", Health::kUnhealthy},
        {"submit_throws", "submit (submit_throws): internal error", Health::kUnhealthy},
        {"await_lost", "await of rms_norm norm (await_lost): device lost: fell off the bus", Health::kLost},
        {"await_never", "await of rms_norm norm (await_never): no answer in 60 s: timeout: still busy", Health::kLost},
        {"await_throws", "await of rms_norm norm (await_throws): internal error", Health::kUnhealthy},
        {"map_null", "staging memory (map_null): wanted a host address, found none", Health::kUnhealthy},
    };
    for (const auto& c : cases) {
        const Outcome outcome = run(c.way);
        EXPECT_TRUE(contains(outcome.error, c.error)) << c.way << ": " << outcome.error;
        EXPECT_EQ(outcome.health, c.health) << c.way;
        if (c.health != Health::kOk) {
            EXPECT_EQ(outcome.health_reason, outcome.error) << c.way;
        }
    }
}

TEST_F(Misbehaving, AtDestructionTheProgramLives) {
    for (const char* way : {"buffer_destroy_throws", "kernel_destroy_throws", "stream_destroy_throws",
                            "fence_destroy_throws", "close_throws", "map_throws"}) {
        SCOPED_TRACE(way);
        run(way);
    }
    EXPECT_EQ(run("packed_bytes_throws").error, "");  // never asked: no private layout
}

TEST_F(Misbehaving, TextsAreCutAndPrintable) {
    const test::TempDir dir;
    test::make_bad(dir, "info_shouts");
    Registry registry({dir.path()});
    ASSERT_EQ(registry.devices().size(), 1u);
    const vks_info& listed = registry.devices()[0]->info;
    EXPECT_LT(strnlen(listed.name, sizeof listed.name), sizeof listed.name);
    EXPECT_EQ(std::string(listed.name).substr(0, 14), "A\\x1b\\xff\\x0aA");
    auto device = registry.open(*registry.devices()[0], "");
    ASSERT_TRUE(device) << device.error().text;
    EXPECT_EQ(std::string((*device)->info().detail), one_line((*device)->info().detail));
}

TEST_F(Misbehaving, AVariantWithoutTerminator) {
    const Outcome outcome = run("variant_shouts");
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.device, "variant_shouts");
}

// A table that is none is as good as none; what a right one's function does wrong is not taken for an answer.
TEST_F(Misbehaving, Extensions) {
    for (const char* way :
         {"extension_throws", "extension_throws_int", "extension_wild", "extension_at_the_edge", "extension_small",
          "extension_huge", "extension_without_function", "extension_wild_function", "extension_data_function",
          "stats_throws", "stats_garbage", "findings_throws", "findings_garbage"}) {
        SCOPED_TRACE(way);
        const test::TempDir dir;
        test::make_bad(dir, way);
        Registry registry({dir.path()});
        ASSERT_EQ(registry.devices().size(), 1u);
        DeviceEntry& entry = *registry.devices()[0];
        auto device = registry.open(entry, "");
        ASSERT_TRUE(device) << device.error().text;
        EXPECT_FALSE((*device)->stats());
        EXPECT_EQ((*device)->health(), contains(way, "stats_") ? Health::kUnhealthy : Health::kOk);
        EXPECT_TRUE(plugin_findings(*entry.plugin->table, 0).empty());
    }
}

TEST_F(Misbehaving, FindingsWithoutAnEnd) {
    const test::TempDir dir;
    test::make_bad(dir, "findings_endless");
    Registry registry({dir.path()});
    ASSERT_EQ(registry.devices().size(), 1u);
    const std::vector<Finding> list = plugin_findings(*registry.devices()[0]->plugin->table, 0);
    ASSERT_EQ(list.size(), 64u);
    EXPECT_EQ(list[0].grade, uint64_t{VKS_FINDING_FAULT});
    EXPECT_EQ(list[0].text, one_line(list[0].text));
    EXPECT_EQ(list[0].text.substr(0, 14), "A\\x1b\\xff\\x0aA");
}

}  // namespace
}  // namespace vks
