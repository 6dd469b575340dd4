// Plugins that the registry must refuse: each with its own reason, none at another's expense.
#include <gtest/gtest.h>

#include <set>

#include "backend/registry/registry.h"
#include "tests/abi/bad_plugins/copies.h"
#include "tests/support/plugins.h"

namespace vks {
namespace {

struct Refused {
    const char* way;
    const char* reason;  // what the refusal must contain
};

constexpr Refused kRefused[] = {
    {"no_entry", "wanted the symbol vks_plugin_entry, found none"},
    {"entry_magic", "wanted magic VKSPLUG"},
    {"entry_major", "wanted major 1, found 2"},
    {"entry_minor_new", "wanted minor 0 or less, found 1 to 3"},
    {"entry_small", "wanted a size from 40, found 8"},
    {"entry_huge", "wanted a size from 40, found 1099511627776"},
    {"entry_without_negotiate", "negotiate is missing"},
    {"negotiate_refuses", "negotiate refused version 1.0: needs a newer driver"},
    {"negotiate_throws", "exception: out of a plugin"},
    {"negotiate_throws_int", "unknown exception"},
    {"negotiate_shouts", "negotiate refused version 1.0: A\\x1b\\xff\\x0aA"},
    {"table_small", "plugin table: wanted a size from 80, found 72"},
    {"table_huge", "plugin table: wanted a size from 80, found 18446744073709551615"},
    {"table_major", "plugin table: wanted major 1, found 2"},
    {"table_without_enumerate", "enumerate is missing"},
    {"table_without_open", "open is missing"},
    {"name_null", "name, build or ops is missing"},
    {"build_null", "name, build or ops is missing"},
    {"ops_null", "name, build or ops is missing"},
    {"name_empty", "wanted [a-z0-9_]{1,31}"},
    {"name_path", "wanted [a-z0-9_]{1,31}"},
    {"name_long", "wanted [a-z0-9_]{1,31}"},
    {"device_null", "device is missing"},
    {"device_small", "device table: wanted a size from 144, found 136"},
    {"device_huge", "device table: wanted a size from 144, found 1099511627776"},
    {"device_without_copy", "copy is missing"},
    {"device_without_fence_destroy", "fence_destroy is missing"},
    {"ops_endless", "ops: wanted a NULL within 4096 entries, found none"},
    {"ops_plain_name", "ops: wanted name/revision, found rms_norm"},
    {"ops_long_name", "ops: wanted name/revision, found rms_norm/1111"},
    {"entry_wild_negotiate", "vks_plugin_entry: negotiate: wanted a function, found 0x1238"},
    {"table_wild", "plugin table: wanted an address, found 0x1238"},
    {"table_odd", "plugin table: wanted an address, found 0x"},
    {"table_at_the_edge", "plugin table: wanted an address, found 0x"},
    {"device_wild", "device table: wanted an address, found 0x1238"},
    {"device_wild_copy", "copy: wanted a function, found 0x1238"},
    {"device_data_copy", "copy: wanted a function, found 0x"},
    {"name_wild", "name, build or ops is missing or no address"},
    {"name_unterminated", "wanted [a-z0-9_]{1,31}, found aaaa"},
    {"name_at_the_edge", "wanted [a-z0-9_]{1,31}, found edg!"},
    {"build_wild", "name, build or ops is missing or no address"},
    {"ops_wild", "name, build or ops is missing or no address"},
    {"ops_wild_name", "ops: wanted name/revision, found"},
    {"ops_unterminated_name", "ops: wanted name/revision, found aaaa"},
    {"ops_at_the_edge", "ops: wanted a NULL within 4096 entries, found none"},
    {"ops_dirty_name", "ops: wanted name/revision, found \\x1b[31m/\\xff"},
};
// Refused by the registry: what crashes when it is first run, and what its devices or the other plugins speak against.
constexpr Refused kRefusedByRegistry[] = {
    {"constructor_aborts", "wanted it to return, found the process ended by signal 6"},
    {"constructor_crashes", "wanted it to return, found the process ended by signal 11"},
    {"constructor_exits", "wanted it to return, found the process ended with status 0"},
    {"constructor_throws_early", "wanted it to return, found the process ended by signal 6"},
    {"negotiate_crashes", "wanted it to return, found the process ended by signal 11"},
    {"negotiate_exits", "wanted it to return, found the process ended with status 0"},
    {"enumerate_endless", "enumerate: wanted at most 64 devices, found more"},
    {"enumerate_throws", "enumerate: internal error: exception: out of a plugin"},
    {"enumerate_fails", "enumerate: internal error: told to fail"},
    {"enumerate_garbage", "enumerate: unknown status"},
    {"name_taken", "plugin name: wanted one not taken, found cpu"},
};

bool printable(const std::string& text) {
    for (const char c : text)
        if (c < 0x20 || c > 0x7e) return false;
    return true;
}

TEST(RefusedPlugins, GiveTheirReason) {
    const test::TempDir dir;
    for (const auto& [way, reason] : kRefused) {
        const PluginFile file = load_plugin(test::make_bad(dir, way));
        EXPECT_EQ(file.table, nullptr) << way;
        EXPECT_NE(file.refusal.find(reason), std::string::npos) << way << ": " << file.refusal;
        EXPECT_TRUE(printable(file.refusal)) << way << ": " << file.refusal;
    }
}

TEST(RefusedPlugins, ATextWithoutEndIsCut) {
    const test::TempDir dir;
    const PluginFile file = load_plugin(test::make_bad(dir, "build_unterminated"));
    EXPECT_EQ(file.refusal, "");
    EXPECT_EQ(file.build, std::string(255, 'a'));
}

TEST(RefusedPlugins, WhatIsNoLibraryIsRefused) {
    const test::TempDir dir;
    test::write_bytes(dir / "libvkseek_text.so", "#!/bin/sh\n");
    test::write_bytes(dir / "libvkseek_empty.so", "");
    std::filesystem::create_directory(dir / "libvkseek_folder.so");
    std::filesystem::create_symlink("nowhere", dir / "libvkseek_dangling.so");
    for (const char* name : {"text", "empty", "folder", "dangling", "missing"}) {
        const PluginFile file = load_plugin(dir / ("libvkseek_" + std::string(name) + ".so"));
        EXPECT_EQ(file.table, nullptr) << name;
        EXPECT_FALSE(file.refusal.empty()) << name;
        EXPECT_TRUE(printable(file.refusal)) << name << ": " << file.refusal;
    }
}

TEST(RefusedPlugins, TheOthersLoad) {
    const test::TempDir dir;
    for (const auto& [way, reason] : kRefused) test::make_bad(dir, way);
    for (const auto& [way, reason] : kRefusedByRegistry) test::make_bad(dir, way);
    test::make_bad(dir, "harmless");  // nothing is wrong with a way that bad.cpp doesn't know
    // The CPU plugin comes first, so that its name is the one taken.
    const test::TempDir first;
    std::filesystem::copy_file(VKS_TEST_PLUGIN, first / "libvkseek_cpu.so");
    Registry registry({first.path(), dir.path(), test::test_dir()});
    std::set<std::string> accepted;
    for (const auto& file : registry.plugins()) {
        if (file->table) accepted.insert(file->name);
        EXPECT_EQ(file->table == nullptr, !file->refusal.empty()) << file->path;
        for (const auto& [way, reason] : kRefusedByRegistry) {
            if (file->path.filename().string() != "libvkseek_" + std::string(way) + ".so") continue;
            EXPECT_NE(file->refusal.find(reason), std::string::npos) << way << ": " << file->refusal;
        }
    }
    EXPECT_EQ(accepted, (std::set<std::string>{"cpu", "harmless", "remote", "cnorm"}));
    for (const auto& device : registry.devices()) EXPECT_TRUE(accepted.contains(device->plugin->name)) << device->id;
    auto cpu = registry.select("cpu");
    ASSERT_TRUE(cpu) << cpu.error().text;
    EXPECT_TRUE(registry.open(*cpu->front(), "threads=1"));
    EXPECT_EQ(registry.plugins().size(), 4 + std::size(kRefused) + std::size(kRefusedByRegistry));
}

}  // namespace
}  // namespace vks
