// `vkseek bench ops`, `roofline`, `compare` and `report` as a person or a script uses them. Times are whatever they
// are.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/plugins.h"
#include "tests/support/run_program.h"
#include "tests/support/sqlite.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

Ran bench(const std::string& what, std::vector<std::string> options) {
    options.insert(options.begin(), {"bench", what});
    return run_program(options);
}

const std::vector<std::string> kSmall = {"--backend", "cpu",  "--rows",   "1,9",  "-r",
                                         "1",         "--op", "rms_norm", "--op", "grouped_gemm"};

std::string small_results() {
    std::vector<std::string> options = kSmall;
    options.insert(options.end(), {"-o", "json"});
    const Ran ran = bench("ops", options);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.out;
}

TEST(BenchOps, JsonHasTheFieldsOfTheContract) {
    const auto rows = nlohmann::json::parse(small_results(), nullptr, false);
    ASSERT_TRUE(rows.is_array());
    ASSERT_EQ(rows.size(), 2U * (2 + 8));
    for (const auto& row : rows) {
        for (const char* text : {"op", "backend", "device", "variant", "shape", "limit"})
            EXPECT_TRUE(row[text].is_string()) << text;
        for (const char* number : {"median_us", "best_us", "gb_s", "gflop_s", "roofline_share"})
            EXPECT_TRUE(row[number].is_number()) << number;
        EXPECT_EQ(row["verified"], true);
        EXPECT_EQ(row["backend"], "cpu");
    }
}

TEST(BenchOps, ThePlainVariantCanBeChosen) {
    const Ran ran = bench("ops", {"--backend", "cpu", "--rows", "1", "-r", "1", "--op", "add", "--variant", "plain",
                                  "--math", "f32", "-o", "json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(nlohmann::json::parse(ran.out)[0]["variant"], "plain");
}

// By the plugin that has variants, and by what a device runs if its plugin has no choice.
TEST(BenchOps, AnUnknownVariantIsNamedWithTheKnownOnes) {
    const std::vector<std::string> options = {"--rows", "1",         "-r",       "1",  "--op",
                                              "add",    "--variant", "nonesuch", "-o", "json"};
    std::vector<std::string> cpu = options, null = options;
    cpu.insert(cpu.end(), {"--backend", "cpu"});
    null.insert(null.end(), {"--plugin-dir", null_dir(), "--backend", "null"});
    const Ran known = bench("ops", cpu), skipped = bench("ops", null);
    EXPECT_EQ(known.status, 4);
    EXPECT_NE(known.err.find("variant: wanted one of auto, "), std::string::npos) << known.err;
    EXPECT_NE(known.err.find("plain, found nonesuch"), std::string::npos) << known.err;
    EXPECT_EQ(skipped.status, 4);
    EXPECT_NE(skipped.err.find("variant (--variant): wanted one of "), std::string::npos) << skipped.err;
    const auto rows = nlohmann::json::parse(skipped.out, nullptr, false);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_TRUE(rows[0]["skipped"].get<std::string>().ends_with("--variant asks for nonesuch")) << rows[0];
    EXPECT_TRUE(rows[0]["median_us"].is_null());
}

// A plugin that computes nothing gives wrong results: reported, not timed.
TEST(BenchOps, WrongResultsAreReportedAndNotTimed) {
    const Ran ran = bench(
        "ops", {"--plugin-dir", null_dir(), "--backend", "null", "--rows", "2", "--op", "rms_norm", "-o", "json"});
    EXPECT_EQ(ran.status, 5);
    EXPECT_NE(ran.err.find("rms_norm/1"), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    const auto rows = nlohmann::json::parse(ran.out, nullptr, false);
    ASSERT_EQ(rows.size(), 2U);
    for (const auto& row : rows) {
        EXPECT_EQ(row["verified"], false);
        EXPECT_TRUE(row["median_us"].is_null());
        EXPECT_TRUE(row["wrong"]["index"].is_number());
        EXPECT_TRUE(row["wrong"]["wanted"].is_number());
        EXPECT_TRUE(row["wrong"].contains("found"));
    }
}

// What was asked for is measured or listed, with the reason, in every format.
TEST(BenchOps, WhatIsSkippedSaysWhy) {
    const auto skipped = [](std::vector<std::string> options, const std::string& why) {
        options.insert(options.end(), {"--backend", "cpu", "-r", "1", "-o"});
        std::vector<std::string> json = options, people = options;
        json.emplace_back("json");
        people.emplace_back("md");
        const Ran ran = bench("ops", json);
        EXPECT_EQ(ran.status, 0) << ran.err;
        const auto rows = nlohmann::json::parse(ran.out, nullptr, false);
        EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [&](const auto& r) { return r.value("skipped", "") == why; }),
                  1)
            << ran.out;
        EXPECT_NE(bench("ops", people).out.find("| " + why), std::string::npos);
    };
    skipped({"--op", "mla_attention", "--contexts", "8192"}, "the shape has 4096 positions");
    skipped({"--op", "mla_attention", "--contexts", "8", "--rows", "1,9"}, "the context has 8 rows");
    skipped({"--op", "gemm", "--rows", "9"}, "a step has at most 8 rows of it");
    skipped({"--op", "moe_route", "--rows", "64", "--most-gflop", "0.0000001"}, "0 GFLOP, --most-gflop allows 0");
}

TEST(BenchOps, WrongCommandLines) {
    const std::vector<std::vector<std::string>> wrong = {
        {"--op", "nonesuch"}, {"--rows", "0"}, {"--rows", "x"}, {"-o", "xml"}, {"--most-memory", "much"}};
    for (const auto& options : wrong) EXPECT_EQ(bench("ops", options).status, 2) << options[0];
    const Ran unknown = bench("ops", {"--shapes", "nonesuch"});
    EXPECT_EQ(unknown.status, 2);
    EXPECT_TRUE(unknown.err.starts_with("vkseek: shape (--shapes): wanted deepseek-v3")) << unknown.err;
    EXPECT_EQ(bench("ops", {"--backend", "nonesuch"}).status, 4);
}

// A column has a name that is a keyword there.
TEST(BenchOps, SqlLoadsIntoSqlite) {
    const Ran ran = bench("ops", {"--op", "rms_norm", "--rows", "1", "-r", "1", "--backend", "cpu", "-o", "sql"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const size_t name = ran.out.find("EXISTS ") + 7;
    const std::string table = ran.out.substr(name, ran.out.find(' ', name) - name);
    const Ran read = query_sqlite(ran.out, "select distinct op, typeof(\"limit\") from " + table);
    EXPECT_EQ(read.status, 0) << read.err;
    EXPECT_EQ(read.out, "rms_norm text\n");
}

// A plugin's name means one device, as everywhere; several are named one by one.
TEST(BenchOps, HelpSaysWhichDevicesAPluginsNameMeans) {
    for (const char* what : {"shader", "isa", "tune"}) {
        const std::string help = bench(what, {"--help"}).out;
        EXPECT_NE(help.find("vulkan, the first usable"), std::string::npos) << help;
    }
}

// Before anything was measured, whatever the format.
TEST(BenchOutput, ARunThatFailsAtOnceWritesNothing) {
    for (const char* format : {"md", "csv", "json", "sql"})
        for (const std::vector<std::string>& options :
             std::vector<std::vector<std::string>>{{"isa", "--backend", "cpu"},
                                                   {"isa", "--gpu", "nonesuch"},
                                                   {"tune", "--backend", "cpu"},
                                                   {"ops", "--backend", "cpu", "--variant", "nonesuch"}}) {
            std::vector<std::string> more(options.begin() + 1, options.end());
            more.insert(more.end(), {"-o", format});
            const Ran ran = bench(options[0], more);
            EXPECT_EQ(ran.status, 4) << options[0] << ": " << ran.err;
            EXPECT_EQ(ran.out, "") << options[0] << " " << format;
        }
}

// What was measured before stays readable: the second device can't be what is asked for.
TEST(BenchOutput, ARunThatFailsLaterClosesWhatItWrote) {
    const Ran ran = bench("ops", {"--plugin-dir", null_dir(), "--backend", "null,cpu", "--rows", "1", "--op", "add",
                                  "--variant", "null", "-o", "json"});
    EXPECT_EQ(ran.status, 4);
    const auto rows = nlohmann::json::parse(ran.out, nullptr, false);
    ASSERT_TRUE(rows.is_array()) << ran.out;
    EXPECT_EQ(rows.size(), 1u);
}

TEST(BenchRoofline, GivesEveryFigureAndKeepsIt) {
    const TempDir cache;
    RunOptions run;
    run.env["XDG_CACHE_HOME"] = cache.path();
    const Ran ran = run_program({"bench", "roofline", "--backend", "cpu", "--threads", "1", "-o", "json"}, run);
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto rows = nlohmann::json::parse(ran.out, nullptr, false);
    for (const char* what : {"read", "copy", "f32", "submit", "launch"})
        EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [&](const auto& row) {
            return row["what"] == what && row["value"].template get<double>() > 0;
        })) << what;
    EXPECT_FALSE(std::filesystem::is_empty(cache / "vkseek/roofline"));
}

// Nowhere to keep it: it is shown all the same, and nothing is written anywhere else.
TEST(BenchRoofline, ShowsWhatItCannotKeep) {
    const TempDir dir;
    write_bytes(dir / "file", "");
    const auto in_dir = [&](const std::string& environment) {
        RunOptions run;
        run.program = "/bin/sh";
        const Ran ran = run_program(
            {"-c", "cd \"$0\" && " + environment + " exec \"$1\" bench roofline --backend cpu --threads 1 -o json",
             dir.path(), VKS_PROGRAM},
            run);
        EXPECT_EQ(ran.status, 0) << ran.err;
        EXPECT_FALSE(nlohmann::json::parse(ran.out, nullptr, false).empty()) << ran.out;
        EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
        return ran.err;
    };
    EXPECT_EQ(in_dir("unset HOME XDG_CACHE_HOME;"),
              "vkseek: roofline (XDG_CACHE_HOME, HOME): wanted a folder to keep it in, found neither set\n");
    EXPECT_NE(in_dir("export XDG_CACHE_HOME=\"$0/file\";").find("wanted a file that can be written"),
              std::string::npos);
}

TEST(BenchResults, CompareAndReport) {
    const TempDir dir;
    const std::string now = small_results();
    write_bytes(dir / "a.json", now);
    auto rows = nlohmann::json::parse(now);
    EXPECT_EQ(bench("compare", {dir / "a.json", dir / "a.json", "--fail-over", "0"}).status, 0);
    rows[3]["median_us"] = 2 * rows[3]["median_us"].get<double>();
    write_bytes(dir / "b.json", rows.dump());
    const Ran slower = bench("compare", {dir / "a.json", dir / "b.json", "--fail-over", "40", "-o", "json"});
    EXPECT_EQ(slower.status, 5);
    EXPECT_NE(slower.err.find("found 1 of 20"), std::string::npos) << slower.err;
    EXPECT_EQ(nlohmann::json::parse(slower.out).size(), 20U);
    EXPECT_EQ(bench("compare", {dir / "a.json", dir / "b.json", "--fail-over", "60"}).status, 0);
    EXPECT_EQ(bench("compare", {dir / "a.json", dir / "none.json"}).status, 3);
    EXPECT_EQ(bench("compare", {dir / "a.json"}).status, 2);
    write_bytes(dir / "none.json", "[]");
    const Ran nothing = bench("compare", {dir / "a.json", dir / "none.json"});
    EXPECT_EQ(nothing.status, 3);
    EXPECT_NE(nothing.err.find("wanted a row that both have, found none"), std::string::npos) << nothing.err;

    ASSERT_EQ(bench("report", {dir / "a.json", "--before", dir / "b.json", "-o", dir / "r.html"}).status, 0);
    const std::string page = read_bytes(dir / "r.html");
    EXPECT_NE(page.find("<svg"), std::string::npos);
    EXPECT_NE(page.find("Compared with before"), std::string::npos);
    EXPECT_EQ(bench("report", {dir / "a.json"}).status, 2);
    EXPECT_EQ(bench("report", {dir / "a.json", "-o", dir / "no/r.html"}).status, 3);
}

// What bench shader --sweep writes: rows that differ in `numbers` only, the fastest first.
TEST(BenchResults, ASlowerCombinationOfASweepIsFound) {
    const TempDir dir;
    auto rows = nlohmann::json::array();
    for (const int n : {8, 16, 4})
        rows.push_back({{"op", "rms_norm"},
                        {"backend", "vulkan:0"},
                        {"shape", "T 8"},
                        {"numbers", "WORKGROUP=" + std::to_string(n)},
                        {"median_us", 10.0 + n},
                        {"gb_s", 1.0},
                        {"gflop_s", 1.0},
                        {"bytes", 1.0},
                        {"flops", 1.0}});
    write_bytes(dir / "a.json", rows.dump());
    rows[0]["median_us"] = 180.0;
    write_bytes(dir / "b.json", rows.dump());
    const Ran slower = bench("compare", {dir / "a.json", dir / "b.json", "--fail-over", "5"});
    EXPECT_EQ(slower.status, 5);
    EXPECT_NE(slower.err.find("found 1 of 3, first \"vulkan:0 rms_norm T 8, WORKGROUP=8\""), std::string::npos)
        << slower.err;
}

}  // namespace
}  // namespace vks::test
