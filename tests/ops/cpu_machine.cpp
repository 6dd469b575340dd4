// What the CPU plugin makes of /proc and of control groups' files.
#include "plugins/cpu/machine.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace vks::cpu {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = uint64_t{1} << 20;

class CpuMachine : public testing::Test {
protected:
    CpuMachine() { put("proc/meminfo", "MemTotal: 65536 kB\nMemFree: 1 kB\nMemAvailable: 49152 kB\n"); }
    void put(const std::string& path, const std::string& text) {
        fs::create_directories((root_ / path).parent_path());
        test::write_bytes(root_ / path, text);
    }
    void put_bytes(const std::string& path, uint64_t bytes) { put(path, std::to_string(bytes) + "\n"); }

    const test::TempDir root_;
};

TEST_F(CpuMachine, MemoryWithoutGroups) {
    EXPECT_EQ(memory(root_.path()).total, 64 * kMiB);
    EXPECT_EQ(memory(root_.path()).available, 48 * kMiB);
    EXPECT_EQ(quota_cores(root_.path()), 0);
}

// What files take is the group's to have again.
TEST_F(CpuMachine, FilesThatWereReadAreFreeMemory) {
    put("proc/self/cgroup", "0::/outer/inner\n");
    put("sys/fs/cgroup/outer/memory.max", "max\n");
    put_bytes("sys/fs/cgroup/outer/inner/memory.max", 32 * kMiB);
    put_bytes("sys/fs/cgroup/outer/inner/memory.current", 31 * kMiB);
    EXPECT_EQ(memory(root_.path()).total, 32 * kMiB);
    EXPECT_EQ(memory(root_.path()).available, 1 * kMiB);
    const std::string stat =
        "anon 2097152\nfile 30408704\ninactive_anon 7\ninactive_file 20971520\n"
        "active_file 4194304\nworkingset_refault_file 9\n";
    put("sys/fs/cgroup/outer/inner/memory.stat", stat);
    EXPECT_EQ(memory(root_.path()).available, (1 + 20 + 4) * kMiB);
    put_bytes("sys/fs/cgroup/outer/inner/memory.current", kMiB);  // read at another moment
    EXPECT_EQ(memory(root_.path()).available, 32 * kMiB);
}

TEST_F(CpuMachine, AlsoInGroupsOfTheFirstVersion) {
    put("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/a\n");
    put_bytes("sys/fs/cgroup/memory/a/memory.limit_in_bytes", 32 * kMiB);
    put_bytes("sys/fs/cgroup/memory/a/memory.usage_in_bytes", 30 * kMiB);
    put("sys/fs/cgroup/memory/a/memory.stat",
        "inactive_file 1048576\nactive_file 1048576\ntotal_inactive_file 8388608\ntotal_active_file 2097152\n");
    EXPECT_EQ(memory(root_.path()).total, 32 * kMiB);
    EXPECT_EQ(memory(root_.path()).available, (2 + 8 + 2) * kMiB);
}

TEST_F(CpuMachine, CoresOfAQuota) {
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    EXPECT_EQ(quota_cores(root_.path()), 3);
}

}  // namespace
}  // namespace vks::cpu
