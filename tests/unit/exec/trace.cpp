// Trace: the file it writes is JSON that Perfetto reads, whatever the names hold.
#include "backend/exec/trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.h"

namespace vks {
namespace {

Node node(const std::string& op, const std::string& name) {
    Node n;
    n.op = op;
    n.name = name;
    return n;
}

TEST(Trace, WritesOneEventPerLaunch) {
    const test::TempDir dir;
    Trace trace;
    trace.add("cpu", node("rms_norm/1", "layers.0.norm"), "plain", 1000, 3500);
    trace.add("remote:0", node("add/1", "add"), "threads", 4000, 4100);
    trace.add("cpu", node("gemm/1", "head"), "avx2", 5000, 9000);
    ASSERT_TRUE(trace.write(dir / "t.json"));
    const auto json = nlohmann::json::parse(test::read_bytes(dir / "t.json"));
    const auto& events = json.at("traceEvents");
    ASSERT_EQ(events.size(), 5u);  // and a name for each device's row
    EXPECT_EQ(events[0].at("ph"), "M");
    EXPECT_EQ(events[0].at("args").at("name"), "cpu");
    EXPECT_EQ(events[1].at("ph"), "X");
    EXPECT_EQ(events[1].at("name"), "rms_norm");
    EXPECT_EQ(events[1].at("args").at("node"), "layers.0.norm");
    EXPECT_EQ(events[1].at("args").at("variant"), "plain");
    EXPECT_DOUBLE_EQ(events[1].at("ts"), 1.0);  // microseconds
    EXPECT_DOUBLE_EQ(events[1].at("dur"), 2.5);
    EXPECT_EQ(events[1].at("tid"), events[4].at("tid"));
    EXPECT_NE(events[1].at("tid"), events[3].at("tid"));
}

TEST(Trace, SurvivesNamesThatAreNotText) {
    const test::TempDir dir;
    Trace trace;
    trace.add("cpu", node("add/1", "\xff\xfe\"\n"), "\x80", 0, 1);
    ASSERT_TRUE(trace.write(dir / "t.json"));
    EXPECT_TRUE(nlohmann::json::accept(test::read_bytes(dir / "t.json")));
}

TEST(Trace, EmptyIsValidToo) {
    const test::TempDir dir;
    ASSERT_TRUE(Trace().write(dir / "t.json"));
    EXPECT_TRUE(nlohmann::json::parse(test::read_bytes(dir / "t.json")).at("traceEvents").empty());
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
