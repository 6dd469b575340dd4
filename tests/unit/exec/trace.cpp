// Trace: the file it writes is JSON that Perfetto reads, whatever the names hold; steps say what their operators took
// and what is left over.
#include "backend/exec/trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "backend/graph/builder.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

using Places = std::vector<Trace::Place>;

// y = norm(x), z = y + x over [T, 8], and a sum over a state of 10 rows.
std::shared_ptr<const Graph> graph(const std::string& name = "layers.0.norm") {
    static const std::vector<float> weight(8, 1);
    GraphBuilder g("small", {4, 1});
    const ValueId x = g.input("x", VKS_F32, {{1, Symbol::kTokens}, {8}});
    const ValueId w = g.weight("w", VKS_F32, {{8}}, reinterpret_cast<const std::byte*>(weight.data()));
    const ValueId y = g.rms_norm(name, x, w, 1e-6f, VKS_F32);
    g.output(g.add("add", y, x, VKS_F32), "out");
    auto made = g.finish(nullptr);
    CHECK(made, "{}", made.error().text);
    return std::make_shared<const Graph>(std::move(*made));
}

// A step over it: its first node on one device, the second one on another.
Trace::Step step(int64_t tokens, const std::string& name = "layers.0.norm", const std::string& device = "cpu") {
    return {graph(name), std::make_shared<Places>(Places{{device, "plain"}, {"remote:0", "threads"}}), {tokens, 1}, 0};
}

nlohmann::json written(const Trace& trace) {
    const test::TempDir dir;
    EXPECT_TRUE(trace.write(*OutputFile::open("trace", dir / "t.json")));
    return nlohmann::json::parse(test::read_bytes(dir / "t.json")).at("traceEvents");
}

nlohmann::json of_category(const nlohmann::json& events, const std::string& category) {
    nlohmann::json found = nlohmann::json::array();
    for (const auto& e : events)
        if (e.value("cat", "") == category) found.push_back(e);
    return found;
}

std::string row_name(const nlohmann::json& events, const nlohmann::json& event) {
    for (const auto& e : events)
        if (e["ph"] == "M" && e["name"] == "thread_name" && e["tid"] == event["tid"]) return e["args"]["name"];
    return "";
}

TEST(Trace, WritesOneEventPerLaunch) {
    Trace trace;
    trace.begin_step(step(3), 900);
    trace.add(0, 1000, 3500);
    trace.add(1, 4000, 4100);
    trace.begin_step(step(1), 4900);  // the first one failed
    trace.add(0, 5000, 9000);
    const auto events = written(trace);
    const auto ops = of_category(events, "op");
    ASSERT_EQ(ops.size(), 3u);
    EXPECT_EQ(ops[0].at("ph"), "X");
    EXPECT_EQ(ops[0].at("name"), "rms_norm");
    EXPECT_EQ(ops[0].at("args").at("node"), "layers.0.norm");
    EXPECT_EQ(ops[0].at("args").at("variant"), "plain");
    EXPECT_EQ(ops[0].at("args").at("shape"), "f32 [3, 8], f32 [8] -> f32 [3, 8]");
    EXPECT_EQ(ops[0].at("args").at("bytes"), 4 * (24 + 8 + 24));
    EXPECT_DOUBLE_EQ(ops[0].at("ts"), 1.0);  // microseconds
    EXPECT_DOUBLE_EQ(ops[0].at("dur"), 2.5);
    EXPECT_EQ(row_name(events, ops[0]), "queue of cpu");
    EXPECT_EQ(row_name(events, ops[1]), "queue of remote:0");
    EXPECT_EQ(ops[0].at("tid"), ops[2].at("tid"));
}

TEST(Trace, AStepAddsUpItsOperatorsAndShowsTheRest) {
    Trace trace;
    trace.begin_step(step(2), 50);  // failed
    trace.add(0, 100, 900);
    trace.begin_step(step(3), 1000);
    trace.add_host("upload", 1000, 1500);
    trace.add(0, 1500, 3500);
    trace.add(1, 4000, 9000);
    trace.end_step(11000);
    const auto events = written(trace);
    const auto steps = of_category(events, "step"), gaps = of_category(events, "gap");
    ASSERT_EQ(steps.size(), 1u);
    EXPECT_EQ(row_name(events, steps[0]), "CPU thread: steps");
    EXPECT_EQ(steps[0]["args"]["tokens"], 3);
    EXPECT_DOUBLE_EQ(steps[0]["args"]["operators_us"], 7.0);
    EXPECT_DOUBLE_EQ(steps[0]["args"]["transfers_us"], 0.5);
    EXPECT_DOUBLE_EQ(steps[0]["args"]["gap_us"], 2.5);
    ASSERT_EQ(gaps.size(), 2u);
    EXPECT_DOUBLE_EQ(gaps[0]["ts"], 3.5);
    EXPECT_DOUBLE_EQ(gaps[0]["dur"], 0.5);
    EXPECT_DOUBLE_EQ(gaps[1]["dur"], 2.0);
}

TEST(Trace, ThreadsHaveRowsOfTheirOwnAndTheNamesOfOperators) {
    Trace trace;
    trace.begin_step(step(3), 0);
    trace.add(0, 1000, 3000);
    trace.add(1, 4000, 9000);
    trace.end_step(10000);
    trace.add_thread("cpu", 1, 1200, 2900);
    trace.add_thread("cpu", 1, 4000, 5000);
    trace.add_thread("cpu", 0, 3500, 3600);  // by none of them
    const auto events = written(trace), threads = of_category(events, "thread");
    ASSERT_EQ(threads.size(), 3u);
    EXPECT_EQ(threads[0]["name"], "rms_norm");
    EXPECT_EQ(threads[1]["name"], "add");
    EXPECT_EQ(threads[2]["name"], "other work");
    EXPECT_DOUBLE_EQ(threads[0]["ts"], 1.2);
    EXPECT_DOUBLE_EQ(threads[0]["dur"], 1.7);
    EXPECT_EQ(row_name(events, threads[0]), "thread 1 of cpu");
    EXPECT_EQ(row_name(events, threads[2]), "thread 0 of cpu");
}

TEST(Trace, ShowsTheTimeBetweenSteps) {
    Trace trace;
    trace.begin_step(step(3), 1000);
    trace.end_step(2000);
    trace.begin_step(step(1), 2500);
    trace.begin_step(step(1), 3000);  // after one that failed
    trace.end_step(4000);
    const auto between = of_category(written(trace), "host");
    ASSERT_EQ(between.size(), 1u);
    EXPECT_DOUBLE_EQ(between[0]["ts"], 2.0);
    EXPECT_DOUBLE_EQ(between[0]["dur"], 1.0);
}

TEST(Trace, SurvivesNamesThatAreNotText) {
    const test::TempDir dir;
    Trace trace;
    trace.begin_step(step(1, "\xff\xfe\"\n", "\x80"), 0);
    trace.add(0, 0, 1);
    trace.end_step(1);
    ASSERT_TRUE(trace.write(*OutputFile::open("trace", dir / "t.json")));
    EXPECT_TRUE(nlohmann::json::accept(test::read_bytes(dir / "t.json")));
}

TEST(Trace, EmptyHasRowsOnly) {
    for (const auto& event : written(Trace())) EXPECT_EQ(event["ph"], "M");
}

TEST(Trace, TimeGoesOn) {
    Trace trace;
    const int64_t first = trace.now();
    EXPECT_GE(first, 0);
    EXPECT_GE(trace.now(), first);
}

}  // namespace
}  // namespace vks
