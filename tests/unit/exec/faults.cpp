// Steps on a device that is told to fail: the error names operator and device, the device is marked, and the memory of
// one that hangs is left alone (the plugin ends the program otherwise).
#include <gtest/gtest.h>

#include "backend/registry/registry.h"
#include "tests/support/fake_device.h"
#include "tests/support/plugins.h"
#include "tests/unit/exec/tiny_model.h"

namespace vks::test {
namespace {

Preference only(Device& device) {
    Preference preference;
    preference.order = {&device};
    preference.general = 1;
    return preference;
}

struct Failing {
    Registry registry{{null_dir()}};
    TinyModel model;
    Session session;

    Device& open(const std::string& options) {
        auto found = registry.select("fault");
        CHECK(found, "{}", found.error().text);
        auto device = registry.open(*found->front(), options);
        CHECK(device, "{}", device.error().text);
        return **device;
    }
    // What a step says; empty when it runs.
    std::string step(Device& device) {
        Preference preference;
        preference.order = {&device};
        preference.general = 1;
        auto plan = session.plan(model, 4, preference);
        if (!plan) return plan.error().text;
        const auto logits = session.step(**plan, {1, 2, 3}, 0);
        session.executor.keep_only(PlanSet());
        return logits ? "" : logits.error().text;
    }
};

TEST(Faults, AreReportedWithOperatorAndDevice) {
    const struct {
        const char* options;
        const char* error;
        Health health;
    } cases[] = {
        {"error=device_lost;op=mla_attention",
         "mla_attention attention (fault): device lost: told to be lost in mla_attention/1", Health::kLost},
        {"error=device_lost;op=add;in=await",
         "await of 17 operators, embed embed to gemm head (fault): device lost: told to be lost in add/1",
         Health::kLost},
        {"error=internal;op=add", "add add (fault): internal error: told to fail in add/1", Health::kUnhealthy},
        {"error=throw;op=add", "add add (fault): internal error: exception: told to throw in add/1",
         Health::kUnhealthy},
        {"error=throw;op=add;in=await",
         "await of 17 operators, embed embed to gemm head (fault): internal error: exception: told to throw in add/1",
         Health::kUnhealthy},
        {"error=out_of_memory;op=add", "add add (fault): out of memory: told to have no memory in add/1",
         Health::kUnhealthy},
        {"error=out_of_memory;op=add;in=prepare",
         "prepare add add (fault): out of memory: told to have no memory in add/1", Health::kOk},
        {"error=internal;in=copy", "", Health::kOk},  // its memory is the host's: there is none
        {"error=device_lost;step=1", "", Health::kOk},
        {"error=device_lost;op=rms_norm;at=1", "", Health::kOk},  // a step has one
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.options);
        Failing fresh;
        Device& device = fresh.open(c.options);
        EXPECT_EQ(fresh.step(device), c.error);
        EXPECT_EQ(device.health(), c.health);
        EXPECT_FALSE(device.hangs());
    }
}

TEST(Faults, AFenceThatIsNeverReached) {
    Failing failing;
    Device& device = failing.open("error=hang;op=swiglu_quant");
    device.set_watchdog(2'000'000);
    const char* wanted =
        "await of 17 operators, embed embed to gemm head (fault): no answer in 0.002 s: timeout: told to hang";
    EXPECT_EQ(failing.step(device), wanted);
    EXPECT_EQ(device.health(), Health::kLost);
    EXPECT_EQ(device.health_reason(), wanted);
    EXPECT_TRUE(device.hangs());
}

TEST(Faults, StepsAndCallsAreCounted) {
    Failing failing;
    Device& device = failing.open("error=internal;op=mla_attention;step=1;at=1;times=1");
    Preference preference;
    preference.order = {&device};
    preference.general = 1;
    auto plan = failing.session.plan(failing.model, 4, preference);
    ASSERT_TRUE(plan) << plan.error().text;
    std::string seen;
    int64_t first = 0;
    for (int i = 0; i < 5; ++i) {
        const auto logits = failing.session.step(**plan, {1, 2}, first);
        seen += logits ? '.' : 'x';
        first += logits ? 2 : 0;
    }
    EXPECT_EQ(seen, "..x..");
}

TEST(Faults, RowsThatWentWithADeviceAreMissed) {
    Registry cpu({cpu_dir()});
    Failing failing;
    const auto plan = [&](Device& device) {
        Preference preference;
        preference.order = {&device};
        preference.general = 1;
        auto made = failing.session.plan(failing.model, 4, preference);
        CHECK(made, "{}", made.error().text);
        return *std::move(made);
    };
    Device& lost = failing.open("error=device_lost;step=1");
    const auto there = plan(lost), here = plan(**cpu.open(*cpu.select("cpu")->front(), "threads=1"));
    const auto early = failing.session.step(*here, {1}, 2);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().text, "state kv.0: wanted 2 rows before the step's, found 0");

    const auto right = failing.session.step(*there, {1, 2, 3}, 0);
    ASSERT_TRUE(right) << right.error().text;
    ASSERT_FALSE(failing.session.step(*there, {4}, 3));
    const auto after = failing.session.step(*here, {4}, 3);
    ASSERT_FALSE(after);
    EXPECT_EQ(after.error().code, Code::kNoBackend);
    EXPECT_EQ(after.error().text, lost.health_reason());
    const auto again = failing.session.step(*here, {1, 2, 3}, 0);
    ASSERT_TRUE(again) << again.error().text;
    EXPECT_EQ(*again, *right);
    EXPECT_TRUE(failing.session.step(*here, {4}, 3));
}

// Fails where it is told to, with an error that a device alone doesn't count as an illness.
struct FailingProbe : Probe {
    bool fails_before = false, fails_after = false;
    size_t choose(const Plan&) override { return 2; }
    Status before(const LaunchSite&) override { return status(fails_before); }
    Status after(const LaunchSite&) override { return status(fails_after); }
    static Status status(bool fails) { return fails ? Status(Error{Code::kNoBackend, "no memory"}) : Status{}; }
};

TEST(Faults, WhatALookAtALaunchMeetsIsTheDevices) {
    for (const bool before : {true, false}) {
        Failing fresh;
        FailingProbe probe;
        (before ? probe.fails_before : probe.fails_after) = true;
        Session watched(nullptr, &probe);
        Device& device = fresh.open("");
        auto plan = watched.plan(fresh.model, 4, only(device));
        ASSERT_TRUE(plan) << plan.error().text;
        EXPECT_FALSE(watched.step(**plan, {1, 2, 3}, 0));
        EXPECT_EQ(device.health(), Health::kUnhealthy);
        EXPECT_EQ(device.health_reason(), "no memory");
    }
}

// The last copies of a hand-over are only waited for when all are under way.
TEST(Faults, TheEndOfAHandOverIsTheDevices) {
    const TinyModel model;
    Fake here, there;
    there.mappable = false;
    const auto from_device = open(here), to_device = open(there);
    Executor executor(nullptr, nullptr);
    PlanSet from;
    ASSERT_TRUE(from.make({{model.graph(4), only(*from_device)}}));
    for (const auto& [name, state] : from.state.all()) state.copies.at(0)->current = 3;
    PlanSet to(&from);
    ASSERT_TRUE(to.make({{model.graph(4), only(*to_device)}}));
    there.await = VKS_NO_MEMORY;
    const auto moved = executor.hand_over(from, to);
    ASSERT_FALSE(moved);
    EXPECT_EQ(to_device->health(), Health::kUnhealthy) << moved.error().text;
    EXPECT_EQ(from_device->health(), Health::kOk);
    executor.keep_only(PlanSet());
}

TEST(Faults, AWrongDeviceThatIsLostIsNotTrusted) {
    const TinyModel model;
    for (const bool wrong_first : {true, false}) {
        Fake fake;
        const auto device = open(fake);
        PlanSet set;
        ASSERT_TRUE(set.make({{model.graph(4), only(*device)}}));
        EXPECT_TRUE(set.trusted());
        device->mark(wrong_first ? Health::kWrong : Health::kLost, "first");
        EXPECT_EQ(set.trusted(), !wrong_first);
        device->mark(wrong_first ? Health::kLost : Health::kWrong, "second");
        EXPECT_FALSE(set.trusted());
        EXPECT_EQ(device->health(), Health::kLost);
    }
}

TEST(Faults, NumbersThatAreNone) {
    const auto logits = [&](const char* options) {
        Failing fresh;
        Device& device = fresh.open(options);
        Preference preference;
        preference.order = {&device};
        preference.general = 1;
        auto plan = fresh.session.plan(fresh.model, 4, preference);
        CHECK(plan, "{}", plan.error().text);
        auto made = fresh.session.step(**plan, {1, 2, 3}, 0);
        CHECK(made, "{}", made.error().text);
        return *std::move(made);
    };
    const auto right = logits(""), wrong = logits("error=wrong;op=mla_attention");
    EXPECT_GT(distance(wrong, right), 1e-3);
    EXPECT_EQ(logits("error=wrong;op=mla_attention;step=1"), right);
    for (const float x : logits("error=nan;op=add")) EXPECT_TRUE(std::isnan(x));
}

}  // namespace
}  // namespace vks::test
