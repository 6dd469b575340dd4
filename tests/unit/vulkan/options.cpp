// The text that opens a Vulkan device.
#include "plugins/vulkan/options.h"

#include <gtest/gtest.h>

#include "plugins/vulkan/vk.h"

namespace vks::vulkan {
namespace {

std::string refusal(const std::string& given, const std::string& environment) {
    try {
        read_options(given, environment);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status, VKS_INVALID);
        return failure.what();
    }
    return "";
}

TEST(Options, TheEnvironmentWins) {
    const Options none = read_options("", "");
    EXPECT_FALSE(none.tier || none.software || none.import || none.binding);
    EXPECT_TRUE(none.addresses && none.numbers && none.budget && !none.statistics);
    const Options options =
        read_options("tier=0;tune=gpu;threads=2;import=1", "tier=9;;binding=65536;refuse=add;fp8=integer;");
    EXPECT_EQ(options.tier, 9u);
    EXPECT_EQ(options.software, false);
    EXPECT_EQ(options.import, true);
    EXPECT_EQ(options.binding, 65536u);
    EXPECT_EQ(options.fp8_by_half, false);
    EXPECT_EQ(options.refuse, "add");
}

TEST(Options, WhatIsWrongIsNamed) {
    EXPECT_EQ(refusal("", "tier=abc"), "Vulkan option tier: wanted a number up to 9, found abc");
    EXPECT_EQ(refusal("tier=10", ""), "Vulkan option tier: wanted a number up to 9, found 10");
    EXPECT_EQ(refusal("binding=1k", ""), "Vulkan option binding: wanted a number, found 1k");
    EXPECT_EQ(refusal("", "submission=-1"), "Vulkan option submission: wanted a number, found -1");
    EXPECT_EQ(refusal("tune=tpu", ""), "Vulkan option tune: wanted gpu or cpu, found tpu");
    EXPECT_EQ(refusal("", "import=yes"), "Vulkan option import: wanted 0 or 1, found yes");
    EXPECT_EQ(refusal("", "fp8="), "Vulkan option fp8: wanted integer or half, found ");
    EXPECT_EQ(refusal("foo=bar", ""), "");  // another plugin's
    EXPECT_EQ(refusal("", "foo=bar"), "VKSEEK_VULKAN_OPTIONS: wanted an option of docs/vulkan.md, found foo");
    EXPECT_EQ(refusal("", "tune=gpu;tier"), "VKSEEK_VULKAN_OPTIONS: wanted key=value, found tier");
}

}  // namespace
}  // namespace vks::vulkan
