// `vkseek bench tune`: measures, keeps what it chose, and the next start uses that.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

namespace fs = std::filesystem;

// Constants of the matrix product of one row, as they are after a start.
std::string constants_of_gemm(const RunOptions& run) {
    const fs::path file = fs::path(VKS_PROGRAM).parent_path().parent_path() / "share/vkseek/shaders/gemm.comp";
    const Ran ran =
        run_program({"bench", "shader", file, "--backend", "vulkan:0", "--rows", "1", "-r", "1", "-o", "json"}, run);
    EXPECT_EQ(ran.status, 0) << ran.err;
    const auto rows = nlohmann::json::parse(ran.out, nullptr, false);
    return rows.empty() ? "" : rows[0]["programs"][0]["constants"].get<std::string>();
}

TEST(VulkanTune, WhatItKeepsCountsFromTheNextStartOn) {
    const TempDir cache;
    RunOptions run;
    run.env["XDG_CACHE_HOME"] = cache.path();
    const Ran ran =
        run_program({"bench", "tune", "--backend", "vulkan:0", "--rows", "1", "-r", "1", "-o", "json"}, run);
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::set<std::string> tried;
    for (const auto& row : nlohmann::json::parse(ran.out)) {
        EXPECT_GT(row["cases"].get<int>(), 0) << row.dump();
        EXPECT_GT(row["usual_us"].get<double>(), 0) << row.dump();
        EXPECT_LE(row["best_us"].get<double>(), row["usual_us"].get<double>()) << row.dump();
        tried.insert(row["number"]);
    }
    for (const char* number : {"gemm.few1.ROWS", "mla_attention.split.GROUPS", "rms_norm.row.WORKGROUP"}) {
        EXPECT_TRUE(tried.contains(number)) << number;
    }
    EXPECT_FALSE(tried.contains("gemm.few8.ROWS")) << "no case has eight rows";

    fs::path kept;
    for (const auto& entry : fs::directory_iterator(cache / "vkseek"))
        if (entry.path().extension() == ".numbers") kept = entry.path();
    ASSERT_FALSE(kept.empty());
    // Whatever was chosen: other numbers, as if they had been.
    for (const char* rows : {"2", "8"}) {
        write_bytes(kept, std::string("vkseek numbers 1\ngemm.few1.ROWS ") + rows + "\n");
        EXPECT_NE(constants_of_gemm(run).find(std::string(" ROWS=") + rows + " "), std::string::npos) << rows;
    }
    write_bytes(kept, "something else\ngemm.few1.ROWS 8\n");
    EXPECT_EQ(constants_of_gemm(run).find(" ROWS=8 "), std::string::npos) << "a file of another program";
}

TEST(VulkanTune, DevicesWithoutNumbersAreRefused) {
    const Ran ran = run_program({"bench", "tune", "--backend", "cpu", "--rows", "1", "-r", "1"});
    EXPECT_EQ(ran.status, 4);
    EXPECT_NE(ran.err.find("can be tuned"), std::string::npos) << ran.err;
    EXPECT_EQ(run_program({"bench", "tune", "--rows", "0"}).status, 2);
}

}  // namespace
}  // namespace vks::test
