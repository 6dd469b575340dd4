// The program with the plugin that fails on command.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/plugins.h"
#include "tests/support/run_program.h"

namespace vks::test {

// generate on a golden model; `fault` is $VKSEEK_FAULT.
inline Ran generate_with_fault(const std::string& fault, std::vector<std::string> options) {
    std::vector<std::string> arguments = {"generate",     "-m",       data("nano-fp8/checkpoint").string(),
                                          "--plugin-dir", null_dir(), "--ids",
                                          "3,1,4,1,5,9",  "-n",       "16",
                                          "--temp",       "0",        "--math",
                                          "f32",          "--json",   "--ignore-eos"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    // How many steps there are isn't left to the clock.
    if (std::find(options.begin(), options.end(), "--mtp") == options.end())
        arguments.insert(arguments.end(), {"--mtp", "0"});
    RunOptions run;
    run.env["VKSEEK_FAULT"] = fault;
    if (fault.find("plugin=vulkan") != std::string::npos && fault.find("hang") != std::string::npos)
        run.env["LSAN_OPTIONS"] = "exitcode=99:print_suppressions=0:suppressions=" VKS_LSAN_SUPPRESSIONS;
    return run_program(arguments, run);
}

// Null where the program printed no document.
inline nlohmann::json document_of(const Ran& ran) {
    EXPECT_EQ(ran.status, 0) << ran.err;
    auto document = nlohmann::json::parse(ran.out, nullptr, false);
    EXPECT_TRUE(document.is_object()) << ran.out;
    return document.is_object() ? document : nlohmann::json();
}

// The run ends well, with these ids, and its one swap says that the device failed.
inline void expect_survived(const Ran& ran, const nlohmann::json& ids) {
    const auto document = document_of(ran);
    ASSERT_TRUE(document.is_object());
    EXPECT_EQ(document["ids"], ids);
    ASSERT_EQ(document["swaps"].size(), 1U) << document["swaps"];
    const auto& swap = document["swaps"][0];
    EXPECT_NE(swap["reason"].get<std::string>().find("(fault): "), std::string::npos) << swap;
    EXPECT_TRUE(swap.contains("recomputed_tokens") && swap.contains("seconds")) << swap;
    for (const auto& [op, device] : document["placement"].items()) EXPECT_EQ(device, "cpu") << op;
}

// It ends with status 4 and one line that names operator and device.
inline void expect_one_line(const Ran& ran) {
    EXPECT_EQ(ran.status, 4);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err.rfind("vkseek: operator embed (", 0), 0U) << ran.err;
    EXPECT_NE(ran.err.find("found none (fault: "), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
}

}  // namespace vks::test
