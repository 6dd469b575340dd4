// Trace: the file it writes is JSON that Perfetto reads, whatever the names hold; steps say what their operators took
// and what is left over.
#include "backend/exec/trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "backend/graph/builder.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

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

nlohmann::json written(const Trace& trace) {
    const test::TempDir dir;
    EXPECT_TRUE(trace.write(dir / "t.json"));
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
    trace.add({"cpu", "plain", graph(), 0, {3, 1}, 0, 1000, 3500});
    trace.add({"remote:0", "threads", graph(), 1, {3, 1}, 0, 4000, 4100});
    trace.add({"cpu", "avx2", graph(), 1, {1, 1}, 0, 5000, 9000});
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
    trace.add({"cpu", "plain", graph(), 0, {3, 1}, 0, 100, 900});  // before the step
    trace.add_host("upload", 1000, 1500);
    trace.add({"cpu", "plain", graph(), 0, {3, 1}, 0, 1500, 3500});
    trace.add({"cpu", "plain", graph(), 1, {3, 1}, 0, 4000, 9000});
    trace.add_step(graph(), {3, 1}, 1000, 11000);
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

TEST(Trace, SurvivesNamesThatAreNotText) {
    const test::TempDir dir;
    Trace trace;
    trace.add({"cpu", "\x80", graph("\xff\xfe\"\n"), 0, {1, 1}, 0, 0, 1});
    ASSERT_TRUE(trace.write(dir / "t.json"));
    EXPECT_TRUE(nlohmann::json::accept(test::read_bytes(dir / "t.json")));
}

TEST(Trace, EmptyHasRowsOnly) {
    for (const auto& event : written(Trace())) EXPECT_EQ(event["ph"], "M");
}

TEST(Trace, AFileThatCannotBeWritten) {
    const test::TempDir dir;
    const Status status = Trace().write(dir / "nowhere/t.json");
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kBadInput);
    EXPECT_NE(status.error().text.find("wanted a file that can be written"), std::string::npos);
}

TEST(Trace, TimeGoesOn) {
    Trace trace;
    const int64_t first = trace.now();
    EXPECT_GE(first, 0);
    EXPECT_GE(trace.now(), first);
}

}  // namespace
}  // namespace vks
