// The executor over the CPU plugin and "remote", a discrete asynchronous device: whatever runs where, the numbers are
// the CPU's own, nothing is in flight after an error, and the caches follow the plans.
#include "backend/exec/executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "backend/registry/registry.h"
#include "tests/support/plugins.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/exec/tiny_model.h"

namespace vks {
namespace {

using test::distance;
using test::Session;
using test::TinyModel;
using Floats = std::vector<float>;

const std::vector<int32_t> kIds = {3, 1, 4, 1, 5, 9, 2, 6, 5, 35};
constexpr double kClose = 1e-5;  // f32, sums of up to 40 terms in another order
const char* const kRemoteOps[] = {"embed", "rms_norm", "add_rms_norm", "swiglu_quant", "add", "mla_rope_append"};

class Executing : public ::testing::Test {
protected:
    Device* device(const std::string& name, const std::string& options = "") {
        auto found = registry.select(name);
        CHECK(found, "{}", found.error().text);
        auto opened = registry.open(*found->front(), options);
        CHECK(opened, "{}", opened.error().text);
        return *opened;
    }
    Device* cpu() { return device("cpu", "threads=1;variant=plain"); }
    static Preference prefer(std::vector<Device*> order, bool cheapest = false) {
        Preference p;
        p.general = order.size();
        p.order = std::move(order);
        p.cheapest = cheapest;
        return p;
    }
    // The CPU plugin's answer for kIds from an empty cache.
    Floats expected() {
        Session session;
        auto plan = session.plan(model, 16, prefer({cpu()}));
        CHECK(plan, "{}", plan.error().text);
        auto logits = session.step(**plan, kIds, 0);
        CHECK(logits, "{}", logits.error().text);
        return *logits;
    }
    static std::set<std::string> used(const Plan& plan) {
        std::set<std::string> ids;
        for (const NodeReport& r : plan.report) ids.insert(plan.devices[r.device].device->id());
        return ids;
    }

    Registry registry{{test::cpu_dir(), test::test_dir(), test::null_dir()}};
    TinyModel model;
};

TEST_F(Executing, TheExpectedNumbersAreNumbers) {
    double sum = 0;
    for (const float x : expected()) sum += double(x) * x;
    EXPECT_TRUE(std::isfinite(sum) && sum > 0.1) << sum;
}

TEST_F(Executing, WhatRemoteSupportsRunsThere) {
    Device* remote = device("remote", "delay_us=300");
    Session session;
    auto plan = session.plan(model, 16, prefer({remote, cpu()}));
    ASSERT_TRUE(plan) << plan.error().text;
    for (size_t i = 0; i < (*plan)->graph->nodes.size(); ++i) {
        const std::string op = (*plan)->graph->nodes[i].op_name();
        const bool there = std::find(std::begin(kRemoteOps), std::end(kRemoteOps), op) != std::end(kRemoteOps);
        EXPECT_EQ((*plan)->report[i].device, there ? 0u : 1u) << op;
    }
    EXPECT_GE((*plan)->segments.size(), 10u);
    auto logits = session.step(**plan, kIds, 0);
    ASSERT_TRUE(logits) << logits.error().text;
    EXPECT_LT(distance(*logits, expected()), kClose);
}

TEST_F(Executing, EachOperatorByName) {
    const Floats wanted = expected();
    for (const char* op : kRemoteOps) {
        SCOPED_TRACE(op);
        Preference p = prefer({cpu()});
        p.order.push_back(device("remote"));
        p.per_op[op] = p.order.back();
        Session session;
        auto plan = session.plan(model, 16, p);
        ASSERT_TRUE(plan) << plan.error().text;
        EXPECT_EQ(used(**plan), (std::set<std::string>{"cpu", "remote:0"}));
        auto logits = session.step(**plan, kIds, 0);
        ASSERT_TRUE(logits) << logits.error().text;
        EXPECT_LT(distance(*logits, wanted), kClose);
    }
}

TEST_F(Executing, ThreeDevices) {
    Preference p = prefer({device("remote:0"), device("remote:1"), cpu()});
    p.per_op = {{"embed", p.order[1]}, {"add_rms_norm", p.order[1]}, {"mla_rope_append", p.order[0]}};
    Session session;
    auto plan = session.plan(model, 16, p);
    ASSERT_TRUE(plan) << plan.error().text;
    EXPECT_EQ(used(**plan).size(), 3u);
    auto logits = session.step(**plan, kIds, 0);
    ASSERT_TRUE(logits) << logits.error().text;
    EXPECT_LT(distance(*logits, expected()), kClose);
}

TEST_F(Executing, TheCheapestWay) {
    // Even at 1 ns a node there: at this size a move costs more than it saves.
    Session session;
    auto plan = session.plan(model, 16, prefer({device("remote", "est_ns=1"), cpu()}, true));
    ASSERT_TRUE(plan) << plan.error().text;
    EXPECT_EQ(used(**plan), (std::set<std::string>{"cpu"}));
    for (const NodeReport& r : (*plan)->report) {
        EXPECT_EQ(r.reason.rfind("cheapest path, ", 0), 0u) << r.reason;
        EXPECT_NE(r.reason.find("; remote:0: "), std::string::npos) << r.reason;
    }
    auto logits = session.step(**plan, kIds, 0);
    ASSERT_TRUE(logits) << logits.error().text;
    EXPECT_LT(distance(*logits, expected()), kClose);
}

// Prefill and decode as two plans over one state, in steps of every size.
TEST_F(Executing, StepsOverOneState) {
    const Floats whole = expected();
    for (const bool remote_first : {false, true}) {
        const Preference p =
            remote_first ? prefer({device("remote", "delay_us=100"), cpu()}) : prefer({cpu(), device("remote")});
        Session session;
        auto chunk = session.plan(model, 5, p), single = session.plan(model, 1, p);
        ASSERT_TRUE(chunk && single);
        Floats all;
        size_t at = 0;
        for (const size_t n : {5, 1, 1, 3}) {
            const std::vector<int32_t> ids(kIds.begin() + long(at), kIds.begin() + long(at + n));
            auto logits = session.step(n == 1 ? **single : **chunk, ids, int64_t(at));
            ASSERT_TRUE(logits) << logits.error().text;
            all.insert(all.end(), logits->begin(), logits->end());
            at += n;
        }
        EXPECT_LT(distance(all, whole), kClose);
    }
}

// Two plans whose attention runs on different devices: each finds the rows that the other wrote.
TEST_F(Executing, TheCacheFollowsThePlans) {
    Registry second({test::cpu_dir()});
    auto entry = second.select("cpu");
    ASSERT_TRUE(entry);
    auto opened = second.open(*entry->front(), "threads=1;variant=plain");
    ASSERT_TRUE(opened);
    Device* other = *opened;
    Session session;
    Preference with_remote = prefer({other});
    with_remote.order.push_back(device("remote"));
    with_remote.per_op["mla_rope_append"] = with_remote.order[1];
    auto here = session.plan(model, 4, prefer({cpu()}));
    auto there = session.plan(model, 4, with_remote);
    ASSERT_TRUE(here && there);
    Floats all;
    size_t at = 0;
    for (const size_t n : {3, 2, 1, 4}) {
        const std::vector<int32_t> ids(kIds.begin() + long(at), kIds.begin() + long(at + n));
        const Plan& plan = (at == 0 || at == 5) ? **here : **there;
        auto logits = session.step(plan, ids, int64_t(at));
        ASSERT_TRUE(logits) << logits.error().text;
        all.insert(all.end(), logits->begin(), logits->end());
        at += n;
    }
    EXPECT_LT(distance(all, expected()), kClose);
    // Read through the plan that did not write last.
    Session alone;
    auto plan = alone.plan(model, 16, prefer({cpu()}));
    ASSERT_TRUE(plan && alone.step(**plan, kIds, 0));
    auto wanted = alone.cache(**plan, 0, 10), found = session.cache(**here, 0, 10);
    ASSERT_TRUE(wanted && found);
    EXPECT_LT(distance(*found, *wanted), kClose);
}

// Going back replaces what came after.
TEST_F(Executing, RewindingReplacesRows) {
    Device* remote = device("remote");
    Preference p = prefer({cpu()});
    p.order.push_back(remote);
    p.per_op["mla_rope_append"] = remote;
    Session session;
    auto plan = session.plan(model, 16, p), here = session.plan(model, 16, prefer({cpu()}));
    ASSERT_TRUE(plan && here);
    ASSERT_TRUE(session.step(**plan, {7, 7, 7, 7, 7, 7}, 0));
    ASSERT_TRUE(session.step(**here, {kIds.begin(), kIds.begin() + 4}, 0));
    auto logits = session.step(**plan, {kIds.begin() + 4, kIds.end()}, 4);
    ASSERT_TRUE(logits) << logits.error().text;
    const Floats whole = expected();
    EXPECT_LT(distance(*logits, Floats(whole.begin() + 4 * TinyModel::kVocab, whole.end())), kClose);
}

TEST_F(Executing, StatesAndOutputsCanBeRead) {
    Device* remote = device("remote");
    Session alone, session;
    auto wanted = alone.plan(model, 16, prefer({cpu()})), plan = session.plan(model, 16, prefer({remote, cpu()}));
    ASSERT_TRUE(wanted && plan);
    ASSERT_TRUE(alone.step(**wanted, kIds, 0) && session.step(**plan, kIds, 0));
    auto rows = session.cache(**plan, 2, 7), expected_rows = alone.cache(**wanted, 2, 7);
    ASSERT_TRUE(rows && expected_rows);
    EXPECT_LT(distance(*rows, *expected_rows), kClose);
    auto none = session.cache(**plan, 3, 0);
    ASSERT_TRUE(none);
    EXPECT_TRUE(none->empty());
    Floats a(kIds.size() * TinyModel::kHidden), b(a.size());
    ASSERT_TRUE(session.executor.read(**plan, (*plan)->graph->find("hidden"), a.data()));
    ASSERT_TRUE(alone.executor.read(**wanted, (*wanted)->graph->find("hidden"), b.data()));
    EXPECT_LT(distance(a, b), kClose);
}

// After a failure the plan and all memory can go: "remote" ends the program if work still uses them.
TEST_F(Executing, FailuresLeaveNothingInFlight) {
    const struct {
        const char* options;
        const char* error;
        Health health;
    } cases[] = {
        {"delay_us=2000;fail_launch=add", "add (remote:0): internal error: remote: add was told to fail",
         Health::kUnhealthy},
        {"delay_us=2000;fail_run=add_rms_norm", "(remote:0): internal error: remote: add_rms_norm failed while it ran",
         Health::kUnhealthy},
        {"delay_us=2000;lose_after=3", "device lost: remote: the device was lost", Health::kLost},
        {"lose_after=0", "device lost", Health::kLost},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.options);
        Registry own({test::cpu_dir(), test::test_dir()});
        auto remote_entry = own.select("remote"), cpu_entry = own.select("cpu");
        ASSERT_TRUE(remote_entry && cpu_entry);
        auto remote = own.open(*remote_entry->front(), c.options);
        auto host = own.open(*cpu_entry->front(), "threads=1;variant=plain");
        ASSERT_TRUE(remote && host);
        Session session;
        {
            auto plan = session.plan(model, 16, prefer({*remote, *host}));
            ASSERT_TRUE(plan) << plan.error().text;
            auto logits = session.step(**plan, kIds, 0);
            ASSERT_FALSE(logits);
            EXPECT_EQ(logits.error().code, Code::kNoBackend);
            EXPECT_NE(logits.error().text.find(c.error), std::string::npos) << logits.error().text;
            session.executor.keep_only(PlanSet());
        }
        EXPECT_EQ((*remote)->health(), c.health);
        EXPECT_EQ((*host)->health(), Health::kOk);
        // The next plan does without it, and says why.
        auto plan = session.plan(model, 16, prefer({*remote, *host}));
        ASSERT_TRUE(plan) << plan.error().text;
        EXPECT_EQ(used(**plan), (std::set<std::string>{"cpu"}));
        EXPECT_NE((*plan)->report[0].reason.find((*remote)->health_reason()), std::string::npos)
            << (*plan)->report[0].reason;
        auto logits = session.step(**plan, kIds, 0);
        ASSERT_TRUE(logits) << logits.error().text;
        EXPECT_LT(distance(*logits, expected()), kClose);
    }
}

TEST_F(Executing, APrepareThatFailsAtPlanTime) {
    Session session;
    auto plan = session.plan(model, 16, prefer({device("remote", "fail_prepare=swiglu_quant"), cpu()}));
    ASSERT_TRUE(plan) << plan.error().text;
    const std::string text = (*plan)->explain();
    EXPECT_NE(text.find("first that supports it (remote:0: prepare failed)"), std::string::npos) << text;
    auto logits = session.step(**plan, kIds, 0);
    ASSERT_TRUE(logits) << logits.error().text;
    EXPECT_LT(distance(*logits, expected()), kClose);
}

TEST_F(Executing, ATraceHoldsEveryLaunch) {
    const test::TempDir dir;
    Trace trace;
    Session session(&trace);
    auto plan = session.plan(model, 16, prefer({device("remote"), cpu()}));
    ASSERT_TRUE(plan) << plan.error().text;
    ASSERT_TRUE(session.step(**plan, kIds, 0));
    ASSERT_TRUE(session.step(**plan, {1, 2}, 10));
    ASSERT_TRUE(trace.write(*OutputFile::open("trace", dir / "trace.json")));
    const auto json = nlohmann::json::parse(test::read_bytes(dir / "trace.json"));
    std::map<std::string, size_t> count;
    std::set<std::string> rows;
    double last = 0;
    for (const auto& event : json.at("traceEvents")) {
        if (event["name"] == "thread_name") rows.insert(event["args"]["name"]);
        ++count[event.at("ph") == "X" ? event.at("cat") : event.at("ph")];
        if (event.value("cat", "") != "op") continue;
        EXPECT_GE(double(event.at("ts")), last);  // one after the other: each launch is finished by itself
        last = double(event.at("ts")) + double(event.at("dur")) - 0.001;
    }
    EXPECT_EQ(count["op"], 2 * (*plan)->graph->nodes.size());
    EXPECT_EQ(count["step"], 2U);
    EXPECT_GT(count["transfer"], 0U);
    EXPECT_GT(count["thread"], 0U);
    EXPECT_EQ(count["host"], 1U);  // between the steps
    EXPECT_EQ(rows.count("queue of cpu") + rows.count("queue of remote:0"), 2U);
    EXPECT_EQ(rows.count("thread 0 of cpu"), 1U);
}

// Accepting everything and computing nothing is enough for the executor: launches and arguments are right.
TEST_F(Executing, TheNullPluginTakesItAll) {
    Session session;
    auto plan = session.plan(model, 16, prefer({device("null")}));
    ASSERT_TRUE(plan) << plan.error().text;
    EXPECT_EQ(used(**plan), (std::set<std::string>{"null"}));
    EXPECT_TRUE(session.step(**plan, kIds, 0));
}

// A plugin in C with one operator, in another revision too.
TEST_F(Executing, OneOperatorFromAnotherPlugin) {
    Preference p = prefer({cpu()});
    p.order.push_back(device("cnorm"));
    p.per_op["rms_norm"] = p.order[1];
    Session session;
    auto plan = session.plan(model, 16, p);
    ASSERT_TRUE(plan) << plan.error().text;
    EXPECT_EQ(used(**plan), (std::set<std::string>{"cpu", "cnorm"}));
    auto logits = session.step(**plan, kIds, 0);
    ASSERT_TRUE(logits) << logits.error().text;
    EXPECT_LT(distance(*logits, expected()), kClose);
    p.per_op["add"] = p.order[1];
    auto refused = session.plan(model, 16, p);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text,
              "operator add (add): wanted a backend that supports it, found none (cnorm: cnorm has no other operator "
              "than rms_norm)");
}

}  // namespace
}  // namespace vks
