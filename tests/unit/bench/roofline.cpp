// Rooflines: bounds, keeping, and that the CPU plugin gives every figure.
#include "frontend/bench/roofline.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "backend/registry/registry.h"
#include "tests/support/plugins.h"
#include "tests/support/temp_dir.h"

namespace vks::bench {
namespace {

Roofline example() {
    Roofline r;
    r.device = "A device, \"quoted\"";
    r.driver = "driver 1";
    r.read = {{1 << 20, 80e9}, {1 << 28, 20e9}};
    r.copy = {{1 << 28, 15e9}};
    r.rates = {{"f32", 100e9}, {"bf16", 200e9}, {"f16", 800e9}, {"i8", 900e9}};
    r.submit_s = 1e-6;
    r.launch_s = 5e-6;
    r.dispatch_s = 2e-6;
    return r;
}

TEST(Roofline, TheBoundIsWhatTakesLongest) {
    const Roofline r = example();
    EXPECT_EQ(r.bound(10, 10).limit, "launch");
    EXPECT_DOUBLE_EQ(r.bound(10, 10).seconds, 5e-6);
    EXPECT_EQ(r.bound(20e9, 1e9).limit, "memory");
    EXPECT_DOUBLE_EQ(r.bound(20e9, 1e9).seconds, 1);
    EXPECT_EQ(r.bound(1e9, 1e12).limit, "bf16");
    EXPECT_DOUBLE_EQ(r.bound(1e9, 1e12).seconds, 5);
}

// What a host's launch takes is no bound of times that the device's clock measured.
TEST(Roofline, TheDevicesClockHasALaunchOfItsOwn) {
    const Bound bound = example().bound(10, 10, true);
    EXPECT_EQ(bound.limit, "launch");
    EXPECT_DOUBLE_EQ(bound.seconds, 2e-6);
    EXPECT_EQ(example().bound(20e9, 1e9, true).limit, "memory");
}

TEST(Roofline, WithoutReadsCopiesCount) {
    Roofline r = example();
    r.read.clear();
    EXPECT_EQ(r.memory_bytes_per_s(), 15e9);
    r.copy.clear();
    EXPECT_EQ(r.bound(1e12, 0).limit, "launch");
}

TEST(Roofline, IsKeptByDeviceAndDriver) {
    const test::TempDir dir;
    const char* before = getenv("XDG_CACHE_HOME");
    const std::string old = before ? before : "";
    setenv("XDG_CACHE_HOME", dir.path().c_str(), 1);
    const Roofline r = example();
    EXPECT_FALSE(kept_roofline(r.device, r.driver));
    ASSERT_TRUE(keep_roofline(r));
    const auto kept = kept_roofline(r.device, r.driver);
    ASSERT_TRUE(kept);
    EXPECT_EQ(roofline_json(*kept), roofline_json(r));
    EXPECT_FALSE(kept_roofline(r.device, "driver 2"));
    test::write_bytes(roofline_path(r.device, r.driver), "{");
    EXPECT_FALSE(kept_roofline(r.device, r.driver));
    test::write_bytes(roofline_path(r.device, r.driver), "{\"device\":\"x\"}");
    EXPECT_FALSE(kept_roofline(r.device, r.driver));
    before ? setenv("XDG_CACHE_HOME", old.c_str(), 1) : unsetenv("XDG_CACHE_HOME");
}

TEST(Roofline, RowsHaveEveryFigure) {
    std::vector<std::string> what;
    for (const auto& row : roofline_rows(example(), "cpu")) what.push_back(row["what"]);
    EXPECT_EQ(what, (std::vector<std::string>{"read", "read", "copy", "bf16", "f16", "f32", "i8", "submit", "launch",
                                              "dispatch"}));
}

TEST(Roofline, ProbesOfTheCpuPlugin) {
    Registry registry({test::cpu_dir()});
    const auto entries = registry.select("cpu");
    ASSERT_TRUE(entries);
    const vks_plugin& plugin = *entries->front()->plugin->table;
    conformance::Target target(plugin, 0, "threads=1");
    ASSERT_TRUE(target.ok());
    const auto* api = static_cast<const vks_probe_api*>(find_extension(plugin, VKS_PROBE_ID, sizeof(vks_probe_api)));
    ASSERT_TRUE(api);
    for (const uint64_t kind : {VKS_PROBE_READ, VKS_PROBE_F32}) {
        vks_probe probe{sizeof(vks_probe), kind, 1 << 16, 0, 0};
        ASSERT_EQ(api->run(target.device, &probe, nullptr), VKS_OK);
        EXPECT_GT(probe.ns, 0u);
        EXPECT_GT(probe.work, 1u << 16);
    }
    vks_error error{};
    vks_probe unknown{sizeof(vks_probe), 99, 0, 0, 0}, small{sizeof(vks_probe), VKS_PROBE_READ, 0, 0, 0};
    EXPECT_EQ(api->run(target.device, &unknown, &error), VKS_UNSUPPORTED);
    EXPECT_EQ(api->run(target.device, &small, &error), VKS_INVALID);
    EXPECT_EQ(api->run(target.device, nullptr, &error), VKS_INVALID);
}

}  // namespace
}  // namespace vks::bench
