// What vkseek doctor says about Vulkan.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

nlohmann::json doctor(const std::map<std::string, std::string>& env) {
    RunOptions run;
    run.env = env;
    const Ran ran = run_program({"doctor", "--json"}, run);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
}

nlohmann::json of_machine(const nlohmann::json& report, const std::string& topic) {
    for (const auto& f : report["machine"])
        if (f["topic"] == topic) return f;
    ADD_FAILURE() << topic << " is not in " << report;
    return {};
}

TEST(VulkanDoctor, DescribesEachDevice) {
    const auto report = doctor({});
    EXPECT_EQ(of_machine(report, "vulkan loader")["grade"], "ok");
    int devices = 0;
    for (const auto& device : report["devices"]) {
        if (!device["id"].get<std::string>().starts_with("vulkan") || device["usable"] == false) continue;
        ++devices;
        std::set<std::string> topics;
        for (const auto& f : device["findings"]) topics.insert(f["topic"]);
        for (const char* topic : {"driver", "memory", "limits", "features", "largest tensor", "room", "known answers"})
            EXPECT_TRUE(topics.contains(topic)) << topic;
        EXPECT_TRUE(topics.contains("heap sizes") || topics.contains("host-visible memory"));
        EXPECT_GT(device["operators"]["rms_norm/1"]["right"], 0);
    }
    EXPECT_GE(devices, 1);
}

// Files of the loader's names that are no libraries: opening it fails as it does where it isn't there.
TEST(VulkanDoctor, WithoutALoaderItSaysWhatToInstall) {
    const TempDir dir;
    for (const char* name : {"libvulkan.so.1", "libvulkan.so"}) write_bytes(dir / name, "not a library");
    const auto report = doctor({{"LD_LIBRARY_PATH", dir.path()}});
    const auto loader = of_machine(report, "vulkan loader");
    EXPECT_EQ(loader["grade"], "warning");
    EXPECT_EQ(loader["text"], "no Vulkan loader (libvulkan.so.1)");
    EXPECT_NE(loader["advice"].get<std::string>().find("libvulkan1"), std::string::npos);
}

TEST(VulkanDoctor, WithoutADriverItSaysWhatToInstall) {
    const auto report = doctor({{"VK_DRIVER_FILES", "/nowhere.json"}, {"VK_ICD_FILENAMES", "/nowhere.json"}});
    const auto drivers = of_machine(report, "vulkan drivers");
    EXPECT_EQ(drivers["grade"], "warning");
    EXPECT_NE(drivers["advice"].get<std::string>().find("mesa-vulkan-drivers"), std::string::npos);
}

}  // namespace
}  // namespace vks::test
