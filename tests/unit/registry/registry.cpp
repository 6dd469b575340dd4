// Registry: where plugins are found, what hides what, and which devices a name means.
#include "backend/registry/registry.h"

#include <gtest/gtest.h>

#include "tests/support/plugins.h"
#include "tests/support/temp_dir.h"

namespace vks {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names(const std::vector<fs::path>& paths, const fs::path& base) {
    std::vector<std::string> list;
    for (const auto& path : paths) list.push_back(path.lexically_relative(base).string());
    return list;
}

TEST(FindPlugins, InTheOrderOfTheFoldersAndOfTheNames) {
    const test::TempDir dir;
    for (const char* file : {"b/libvkseek_two.so", "b/libvkseek_one.so", "a/libvkseek_two.so", "a/libvkseek_zero.so",
                             "a/libother.so", "a/libvkseek_old.so.bak", "a/vkseek_x.so", "a/libvkseek_.so"}) {
        fs::create_directories((dir / file).parent_path());
        test::write_bytes(dir / file, "");
    }
    fs::create_directories(dir / "b/sub");
    test::write_bytes(dir / "b/sub/libvkseek_deep.so", "");
    using List = std::vector<std::string>;
    EXPECT_EQ(names(find_plugins({dir / "b", dir / "a"}), dir.path()),
              (List{"b/libvkseek_one.so", "b/libvkseek_two.so", "a/libvkseek_.so", "a/libvkseek_zero.so"}));
    EXPECT_EQ(names(find_plugins({dir / "a", dir / "b"}), dir.path()),
              (List{"a/libvkseek_.so", "a/libvkseek_two.so", "a/libvkseek_zero.so", "b/libvkseek_one.so"}));
    EXPECT_TRUE(find_plugins({dir / "nowhere", dir / "b/libvkseek_one.so", ""}).empty());
    EXPECT_EQ(find_plugins({dir / "a", dir / "a"}).size(), 3u);
}

class Selecting : public ::testing::Test {
protected:
    std::string select(Registry& registry, const std::string& name) {
        auto found = registry.select(name);
        if (!found) {
            EXPECT_EQ(found.error().code, Code::kNoBackend);
            return found.error().text;
        }
        std::string ids;
        for (const DeviceEntry* e : *found) ids += (ids.empty() ? "" : " ") + e->id;
        return ids;
    }
    Registry all{{test::cpu_dir(), test::test_dir(), test::null_dir()}};
};

TEST_F(Selecting, EveryDeviceIsListed) {
    std::vector<std::string> ids;
    for (const auto& e : all.devices()) ids.push_back(e->id);
    EXPECT_EQ(ids, (std::vector<std::string>{"cpu", "cnorm", "remote:0", "remote:1", "fault", "null"}));
    EXPECT_EQ(all.plugins().size(), 5u);
    for (const auto& file : all.plugins()) {
        EXPECT_TRUE(file->table) << file->refusal;
        EXPECT_EQ(file->abi_major, VKS_ABI_MAJOR);
        EXPECT_FALSE(file->build.empty());
        EXPECT_FALSE(file->ops.empty());
        if (file->name == "cnorm") {
            EXPECT_EQ(file->ops, (std::vector<std::string>{"rms_norm/1", "rms_norm/2"}));
        }
    }
    EXPECT_STREQ(all.devices()[2]->info.name, "remote 0");
    EXPECT_STREQ(all.devices()[3]->info.name, "remote 1");
}

TEST_F(Selecting, AutoPutsAcceleratorsFirstAndLeavesSoftwareOut) {
    EXPECT_EQ(select(all, "auto"), "remote:0 remote:1 cpu cnorm");  // fault and null are software devices
}

TEST_F(Selecting, ByName) {
    EXPECT_EQ(select(all, "cpu"), "cpu");
    EXPECT_EQ(select(all, "cpu:0"), "cpu");
    EXPECT_EQ(select(all, "remote"), "remote:0");
    EXPECT_EQ(select(all, "remote:1"), "remote:1");
    EXPECT_EQ(select(all, "null"), "null");  // asked for, it may be software
}

TEST_F(Selecting, WhatThereIsNotNamesWhatThereIs) {
    const std::string there = "cpu, cnorm, remote:0, remote:1, fault, null";
    for (const char* name :
         {"vulkan", "vulkan:0", "remote:2", "remote:", "remote:01", "remote:x", "cpu:1", "", ":", "CPU"})
        EXPECT_EQ(select(all, name), fmt::format("device: wanted one of {}, found \"{}\"", there, name));
    EXPECT_EQ(all.select("gpu", "--op add").error().text,
              fmt::format("device (--op add): wanted one of {}, found \"gpu\"", there));
    Registry none({});
    EXPECT_EQ(select(none, "auto"), "device (--backend auto): wanted any, found no device at all (see vkseek plugins)");
    EXPECT_EQ(select(none, "cpu"), "device: wanted \"cpu\", found no device at all (see vkseek plugins)");
}

TEST_F(Selecting, AutoWithSoftwareOnly) {
    Registry only({test::null_dir()});
    EXPECT_EQ(select(only, "auto"), "device (--backend auto): wanted any, found fault, null");
}

// The first folder wins, as a user's own build of a plugin must win over the installed one.
TEST_F(Selecting, AnEarlierFileHidesALater) {
    const test::TempDir mine;
    fs::copy_file(test::test_dir() / "libvkseek_remote.so", mine / "libvkseek_cpu.so");
    Registry registry({mine.path(), test::cpu_dir()});
    ASSERT_EQ(registry.plugins().size(), 1u);
    EXPECT_EQ(registry.plugins()[0]->name, "remote");
    EXPECT_EQ(select(registry, "auto"), "remote:0 remote:1");
}

TEST_F(Selecting, TwoFilesWithOnePluginName) {
    const test::TempDir mine;
    fs::copy_file(test::test_dir() / "libvkseek_remote.so", mine / "libvkseek_copy.so");
    Registry registry({mine.path(), test::test_dir()});
    std::string refusal;
    for (const auto& file : registry.plugins())
        if (file->path.filename() == "libvkseek_remote.so") refusal = file->refusal;
    EXPECT_EQ(refusal, "plugin name: wanted one not taken, found remote of " + (mine / "libvkseek_copy.so").string());
    EXPECT_EQ(select(registry, "remote:1"), "remote:1");
}

TEST_F(Selecting, OpensOnce) {
    auto entry = all.select("remote:1");
    ASSERT_TRUE(entry);
    auto first = all.open(*entry->front(), ""), second = all.open(*entry->front(), "");
    ASSERT_TRUE(first && second);
    EXPECT_EQ(*first, *second);
    EXPECT_EQ((*first)->id(), "remote:1");
    EXPECT_EQ((*first)->health(), Health::kOk);
}

TEST_F(Selecting, OptionsReachThePlugin) {
    auto entry = all.select("cpu");
    ASSERT_TRUE(entry);
    auto bad = all.open(*entry->front(), "threads=none");
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.error().text.find("open (cpu): invalid call: threads: wanted"), std::string::npos)
        << bad.error().text;
    EXPECT_TRUE(all.open(*entry->front(), "threads=1"));  // a failed open may be tried again
}

}  // namespace
}  // namespace vks
