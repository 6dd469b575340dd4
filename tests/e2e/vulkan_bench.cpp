// `vkseek bench ops` on Vulkan devices: every operator, right by the CPU plugin.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "backend/conformance/target.h"
#include "backend/registry/registry.h"
#include "backend/registry/stream_clock.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

uint64_t monotonic_ns() {
    using namespace std::chrono;
    return uint64_t(duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

TEST(VulkanBench, EveryOperatorIsRightAndTimed) {
    const Ran ran = run_program({"bench", "ops", "--backend", "vulkan", "--rows", "1,9", "-r", "1", "-o", "json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::set<std::string> operators;
    for (const auto& row : nlohmann::json::parse(ran.out)) {
        if (row["op"] == "mla_expanded") {  // the CPU plugin's alone
            EXPECT_EQ(row["skipped"], "unknown operator mla_expanded/1");
            continue;
        }
        EXPECT_EQ(row["verified"], true) << row.dump();
        EXPECT_TRUE(row["median_us"].is_number()) << row.dump();
        EXPECT_EQ(row["clock"], "device") << row.dump();
        operators.insert(row["op"]);
    }
    EXPECT_EQ(operators.size(), 17U);
}

// llvmpipe ends an invocation's loops after 65535 iterations: spans as long as that must be cut.
TEST(VulkanBench, AttentionOverLongContextsIsRight) {
    const Ran ran = run_program({"bench", "ops", "--backend", "vulkan:0", "--shapes", "deepseek-v3", "--op",
                                 "mla_attention", "--rows", "1,2", "--contexts", "8192", "-r", "1", "-o", "json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto rows = nlohmann::json::parse(ran.out);
    EXPECT_EQ(rows.size(), 2U);
    for (const auto& row : rows) EXPECT_EQ(row["verified"], true) << row.dump();
}

TEST(VulkanBench, RooflineHasReadsAndRates) {
    const TempDir cache;
    RunOptions run;
    run.env["XDG_CACHE_HOME"] = cache.path();
    const Ran ran = run_program({"bench", "roofline", "--backend", "vulkan:0", "-o", "json"}, run);
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::set<std::string> figures;
    for (const auto& row : nlohmann::json::parse(ran.out)) {
        EXPECT_GT(row["value"].get<double>(), 0) << row.dump();
        figures.insert(row["what"]);
    }
    for (const char* what : {"read", "copy", "f32", "submit", "launch", "dispatch"})
        EXPECT_TRUE(figures.contains(what)) << what;
}

// Two clocks that are told apart: what the device says it did lies within what the host saw.
TEST(VulkanBench, TheDevicesClockIsTheHostsWhereItSaysSo) {
    Registry registry({std::filesystem::path(VKS_TEST_PLUGIN).parent_path()});
    const auto entries = registry.select("vulkan");
    ASSERT_TRUE(entries) << entries.error().text;
    conformance::Target t(*entries->front()->plugin->table, entries->front()->index, "");
    ASSERT_TRUE(t.ok());
    const StreamClock clock(t.plugin, t.stream);
    ASSERT_TRUE(clock);
    EXPECT_FALSE(clock.last()) << "nothing was submitted";
    constexpr uint64_t kBytes = 1 << 20;
    const vks_tensor from = conformance::bytes_at(kBytes, t.buffer(kBytes, VKS_BUFFER_DEVICE), 0);
    const vks_tensor to = conformance::bytes_at(kBytes, t.buffer(kBytes, VKS_BUFFER_DEVICE), 0);
    for (int i = 0; i < 3; ++i) {
        const uint64_t before = monotonic_ns();
        ASSERT_TRUE(t.note(t.api.copy(t.stream, &from, &to, &t.error)) && t.finish()) << t.error.text;
        const uint64_t after = monotonic_ns();
        const auto span = clock.last();
        ASSERT_TRUE(span);
        EXPECT_GT(span->ns, 0U);
        EXPECT_LE(span->ns, after - before);
        if (span->begin == 0) continue;
        EXPECT_GE(span->begin + span->deviation_ns, before);
        EXPECT_LE(span->begin + span->ns, after + span->deviation_ns);
    }
}

TEST(VulkanBench, TimelinesShowOperatorsByTheDevicesClock) {
    const TempDir dir;
    const Ran ran = run_program({"generate", "--backend", "vulkan:0", "--ids", "1,2,3", "-n", "2", "--temp", "0",
                                 "--trace-file", dir / "t.json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto events = nlohmann::json::parse(read_bytes(dir / "t.json")).at("traceEvents");
    double operators = 0, steps = 0, ends = 0;
    for (const auto& e : events) {
        if (e.value("cat", "") == "step") steps += e["dur"].get<double>();
        if (e.value("cat", "") != "op") continue;
        operators += e["dur"].get<double>();
        EXPECT_GE(e["ts"].get<double>(), ends) << e.dump();  // one queue: one after the other
        ends = e["ts"].get<double>() + e["dur"].get<double>();
    }
    EXPECT_GT(operators, 0);
    EXPECT_LT(operators, steps);
}

}  // namespace
}  // namespace vks::test
