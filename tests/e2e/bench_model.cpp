// `vkseek bench model`: llama-bench's columns and formats. Times are whatever they are.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/sqlite.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

Ran bench_model(std::vector<std::string> options) {
    std::vector<std::string> arguments = {"bench", "model", "-r", "2", "--backend", "cpu"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return run_program(arguments);
}

nlohmann::json rows_of(std::vector<std::string> options) {
    options.insert(options.end(), {"-o", "json"});
    const Ran ran = bench_model(options);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
}

TEST(BenchModel, MarkdownIsLlamaBenchs) {
    const Ran ran = bench_model({"-m", VKS_DEMO_MODEL, "-p", "16", "-n", "4", "-d", "0,8"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const std::string titles =
        "| model                          |       size |     params | backend    | threads |            test |       "
        "           t/s |\n";
    EXPECT_EQ(ran.out.substr(0, titles.size()), titles);
    for (const char* test : {" pp16 |", " tg4 |", " pp16 @ d8 |", " tg4 @ d8 |"})
        EXPECT_NE(ran.out.find(test), std::string::npos) << test;
    EXPECT_NE(ran.out.find("\nbuild: "), std::string::npos);
}

TEST(BenchModel, JsonHasSamples) {
    const auto rows = rows_of({"-m", VKS_DEMO_MODEL, "-p", "16", "-n", "4"});
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0]["n_prompt"], 16);
    EXPECT_EQ(rows[0]["n_gen"], 0);
    EXPECT_EQ(rows[1]["n_gen"], 4);
    EXPECT_EQ(rows[0]["samples_ns"].size(), 2U);
    EXPECT_GT(rows[0]["avg_ts"].get<double>(), 0);
    EXPECT_EQ(rows[0]["backends"], "cpu");
}

// Of which nothing else is wanted.
TEST(BenchModel, APromptAsLongAsTheModelsContext) {
    const auto rows = rows_of({"-m", data("nano-fp8/checkpoint"), "-p", "256", "-n", "0", "-r", "1"});
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0]["n_prompt"], 256);
}

// As `| head -1` does.
TEST(BenchModel, AShapesWeightsAreGoneWhereNobodyReadsOn) {
    const TempDir dir;
    RunOptions run;
    run.program = "/bin/sh";
    run.env["TMPDIR"] = dir.path().string();
    run_program({"-c", std::string(VKS_PROGRAM) +
                           " bench model --shape demo -p 8,16,32 -n 0 -r 1 -o csv --backend cpu | head -1; :"},
                run);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

// Not into whatever folder is the current one.
TEST(BenchModel, AShapesWeightsHaveAPlace) {
    RunOptions run;
    run.env["TMPDIR"] = "/nonexistent";
    const Ran ran = run_program({"bench", "model", "--shape", "demo", "-p", "1", "-n", "0", "--backend", "cpu"}, run);
    EXPECT_EQ(ran.status, 3) << ran.err;
    EXPECT_TRUE(ran.err.starts_with("vkseek: folder ($TMPDIR): wanted one that is there, found: ")) << ran.err;
}

TEST(BenchModel, SqlLoadsIntoSqlite) {
    const Ran ran = bench_model({"-m", VKS_DEMO_MODEL, "-p", "16", "-n", "4", "-o", "sql"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const Ran read = query_sqlite(ran.out, "select n_prompt, n_gen, avg_ts > 0 from llama_bench");
    EXPECT_EQ(read.status, 0) << read.err;
    EXPECT_EQ(read.out, "16 0 1\n0 4 1\n");
}

TEST(BenchModel, CsvHasAHeaderAndALineATest) {
    const Ran ran = bench_model({"-m", VKS_DEMO_MODEL, "-p", "16", "-n", "0", "-o", "csv"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(ran.out.starts_with("build_commit,build_number,cpu_info,gpu_info,backends,model_filename,model_type,"));
    EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2);
}

TEST(BenchModel, ForcedDraftsInTurn) {
    const auto rows = rows_of({"--shape", "demo", "-p", "0", "-n", "21", "--mtp", "1", "--mtp-acceptance", "0.5,1"});
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0]["mtp"], 0);
    EXPECT_FALSE(rows[0].contains("mtp_ratio"));
    EXPECT_NEAR(rows[1]["mtp_accepted"].get<double>(), 0.5, 0.05);
    EXPECT_EQ(rows[2]["mtp_accepted"], 1);
    EXPECT_GT(rows[2]["mtp_ratio"].get<double>(), 0);
    EXPECT_GT(rows[2]["mtp_ratio_by_bytes"].get<double>(), rows[1]["mtp_ratio_by_bytes"].get<double>());
    EXPECT_EQ(rows[1]["routing"], "independent");
}

TEST(BenchModel, AShapesWeightsAreGoneAfterwards) {
    const TempDir dir;
    const auto rows = rows_of(
        {"--shape", "demo", "--layers", "2", "--routing", "coincide", "-p", "8", "-n", "2", "--work-dir", dir.path()});
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
    ASSERT_EQ(rows.size(), 2U);
    for (const auto& row : rows) {
        EXPECT_EQ(row["extrapolated_layers"], 4);
        EXPECT_LT(row["extrapolated_ts"], row["avg_ts"]);
    }
    const Ran text = bench_model({"--shape", "demo", "--layers", "2", "-p", "8", "-n", "0"});
    EXPECT_NE(text.out.find("pp8: extrapolation, not measured: "), std::string::npos) << text.out;
}

TEST(BenchModel, AShapesWeightsAreGoneWhenItIsEnded) {
    const TempDir dir;
    for (const int number : {SIGINT, SIGTERM}) {
        SCOPED_TRACE(number);
        bool sent = false;
        RunOptions run;
        run.on_output = [&](pid_t child, std::string_view out) {
            if (out.empty() || std::exchange(sent, true)) return;
            EXPECT_FALSE(std::filesystem::is_empty(dir.path()));
            kill(child, number);
        };
        const Ran ran = run_program({"bench", "model", "--backend", "cpu", "--shape", "demo", "--layers", "2", "-p",
                                     "8", "-n", "100000", "-r", "1", "-o", "jsonl", "--work-dir", dir.path()},
                                    run);
        EXPECT_TRUE(sent);
        EXPECT_EQ(ran.status, 3) << ran.err;
        EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
        EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
    }
}

TEST(BenchModel, WrongCommandLines) {
    const std::vector<std::vector<std::string>> wrong = {
        {"-p", "0", "-n", "0"},      {"-p", "x"},       {"-o", "xml"},
        {"--mtp-acceptance", "1.5"}, {"--layers", "2"}, {"--shape", "demo", "-m", VKS_DEMO_MODEL}};
    for (const auto& options : wrong) {
        const Ran ran = bench_model(options);
        EXPECT_EQ(ran.status, 2) << ran.out << ran.err;
        EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    }
    EXPECT_EQ(bench_model({"-m", VKS_DEMO_MODEL, "-d", "100000"}).status, 3);
    EXPECT_EQ(run_program({"bench"}).status, 2);
}

TEST(BenchModel, RepeatedRowsAreSaidToBeSo) {
    const auto rows = rows_of({"-m", VKS_DEMO_MODEL, "--depth-rows", "repeated", "-d", "0,48", "--chunk", "16", "-p",
                               "0", "-n", "2", "--backend", "cpu"});
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_FALSE(rows[0].contains("depth_rows"));
    EXPECT_EQ(rows[1]["depth_rows"], "repeated");
    EXPECT_GT(rows[1]["step_bytes"], rows[0]["step_bytes"]);
    const Ran wrong = bench_model({"--depth-rows", "repeated", "--mtp", "1"});
    EXPECT_EQ(wrong.status, 2);
    EXPECT_NE(wrong.err.find("--depth-rows"), std::string::npos) << wrong.err;
}

}  // namespace
}  // namespace vks::test
