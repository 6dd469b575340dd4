// Results read back: compared, and as a page.
#include "frontend/bench/report.h"

#include <gtest/gtest.h>

#include "frontend/bench/results.h"
#include "tests/support/temp_dir.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

Json op(const std::string& shape, double us) {
    return {{"op", "gemm"},     {"backend", "cpu"}, {"device", "CPU"},       {"variant", "avx<2>"}, {"shape", shape},
            {"verified", true}, {"median_us", us},  {"best_us", us},         {"gb_s", 10.0},        {"gflop_s", 50.0},
            {"bytes", 1e6},     {"flops", 5e6},     {"roofline_share", 0.5}, {"limit", "memory"}};
}
Json skipped(const std::string& shape) {
    Json row = op(shape, 1);
    for (const char* name : {"median_us", "best_us", "gb_s", "gflop_s"}) row[name] = nullptr;
    row["verified"] = false;
    row["skipped"] = "too large";
    return row;
}
Json model(double ts) {
    return {{"model_type", "m"}, {"backends", "cpu"}, {"n_prompt", 0}, {"n_gen", 8},
            {"n_depth", 0},      {"mtp", 0},          {"avg_ts", ts}};
}
Json roof(const std::string& what, Json bytes, double value, const std::string& unit) {
    return {{"backend", "cpu"}, {"device", "CPU"}, {"what", what}, {"bytes", bytes}, {"value", value}, {"unit", unit}};
}

Json program(const std::string& shader) {
    return {{"backend", "navi31"}, {"device", "RADV"},      {"op", "gemm"},    {"shape", "T 1"},
            {"shader", shader},    {"constants", "64 X=2"}, {"registers", 48}, {"spilled", 0},
            {"shared", nullptr},   {"waves", 32},           {"code", 2084}};
}

TEST(Results, ComparedBySpeedWhateverTheUnit) {
    const auto rows =
        compare({op("a", 100), op("b", 100), model(10), roof("submit", nullptr, 2, "us"), op("gone", 1)},
                {op("a", 50), op("b", 125), model(5), roof("submit", nullptr, 2, "us"), skipped("c"), program("gemm")});
    ASSERT_EQ(rows.size(), 9u);  // of the pipeline four figures
    EXPECT_EQ(rows[0]["speed"], 2.0);
    EXPECT_EQ(rows[1]["speed"], 0.8);
    EXPECT_EQ(rows[2]["speed"], 0.5);
    EXPECT_EQ(rows[3]["speed"], 1.0);
    EXPECT_TRUE(rows[4]["b"].is_null());
    EXPECT_EQ(slower(rows, 10).size(), 3u);  // b, the model, and what is gone
    EXPECT_EQ(slower(rows, 30).size(), 2u);
    EXPECT_EQ(slower(rows, 60).size(), 1u);
}

Json with(Json row, const Json& more) {
    row.update(more);
    return row;
}

// One row of each for each of the other's.
void expect_speeds(const std::vector<Json>& a, const std::vector<Json>& b, const std::vector<double>& speeds) {
    const auto rows = compare(a, b);
    ASSERT_EQ(rows.size(), speeds.size()) << Json(rows).dump();
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["speed"], speeds[i]) << rows[i];
}

TEST(Results, RowsOfOneFileAreToldApart) {
    const auto swept = [](const char* numbers, double us) { return with(op("T 1", us), {{"numbers", numbers}}); };
    expect_speeds({swept("ROWS=2", 10), swept("ROWS=4", 20)}, {swept("ROWS=4", 20), swept("ROWS=2", 100)}, {0.1, 1});
    for (const char* field : {"n_threads", "n_layer", "n_expert", "n_batch"})
        expect_speeds({with(model(10), {{field, 1}}), with(model(20), {{field, 2}})},
                      {with(model(1), {{field, 1}}), with(model(20), {{field, 2}})}, {0.1, 1});
    for (const auto& [field, values] : {std::pair{"type_k", std::pair{"f32", "bf16"}},
                                        {"depth_rows", {"repeated", "computed"}},
                                        {"routing", {"coincide", "independent"}}})
        expect_speeds({with(model(10), {{field, values.first}}), with(model(20), {{field, values.second}})},
                      {with(model(1), {{field, values.first}}), with(model(20), {{field, values.second}})}, {0.1, 1});
    expect_speeds({op("a", 1), op("a", 10)}, {op("a", 1), op("a", 100)}, {1, 0.1});  // in their order
}

TEST(Results, RowsMeetWhateverIsCompared) {
    expect_speeds({with(op("a", 10), {{"device", "one"}, {"variant", "plain"}})}, {op("a", 5)}, {2});
    expect_speeds({with(model(10), {{"n_threads", 1}, {"type_k", "f32"}, {"build_commit", "x"}, {"cpu_info", "y"}})},
                  {with(model(20), {{"n_threads", 2}, {"type_k", "bf16"}, {"build_commit", "z"}})}, {2});
    EXPECT_TRUE(any_in_both(compare({op("a", 1)}, {op("a", 1), op("b", 1)})));
    EXPECT_FALSE(any_in_both(compare({op("a", 1), skipped("b")}, {op("b", 1)})));
}

TEST(Results, OfPipelinesWhatTheyTake) {
    const auto rows = compare({program("gemm")}, {with(program("gemm"), {{"spilled", 99}, {"waves", 16}})});
    ASSERT_EQ(rows.size(), 4u);
    EXPECT_EQ(slower(rows, 1), (std::vector<std::string>{"navi31 gemm 64 X=2: spilled", "navi31 gemm 64 X=2: waves"}));
    EXPECT_TRUE(slower(compare({program("gemm")}, {program("gemm")}), 0).empty());
}

TEST(Results, NumbersThatWereChosen) {
    const auto number = [](double us) -> Json {
        return {{"backend", "vulkan:0"}, {"number", "gemm.few1.ROWS"},
                {"chosen", nullptr},     {"cases", 4},
                {"usual_us", 20.0},      {"best_us", us}};
    };
    const test::TempDir dir;
    test::write_bytes(dir / "tune", Json({number(10)}).dump());
    const auto read = read_results(dir / "tune");
    ASSERT_TRUE(read) << read.error().text;
    expect_speeds(*read, {number(20)}, {0.5});
    EXPECT_NE(report_page(*read, {}, "").find("gemm.few1.ROWS"), std::string::npos);
}

TEST(Results, ReadFromFiles) {
    const test::TempDir dir;
    test::write_bytes(dir / "good", Json({op("a", 1), model(2), program("gemm")}).dump());
    const auto good = read_results(dir / "good");
    ASSERT_TRUE(good);
    EXPECT_EQ(good->size(), 3u);
    const char* wrong[] = {"{}", "[1]", "[{\"op\":1}]", "[", ""};
    for (const char* text : wrong) {
        test::write_bytes(dir / "bad", text);
        const auto bad = read_results(dir / "bad");
        ASSERT_FALSE(bad) << text;
        EXPECT_EQ(bad.error().code, Code::kBadInput);
        EXPECT_NE(bad.error().text.find("bad"), std::string::npos);
    }
    EXPECT_FALSE(read_results(dir / "nothing"));
}

// Each was made by hand, or by another program.
TEST(Results, RowsWithoutWhatTheirKindHas) {
    const test::TempDir dir;
    const auto refused = [&](const Json& good, const char* name, const Json& value) {
        Json row = good;
        row.erase(name);
        if (!value.is_null()) row[name] = value;
        test::write_bytes(dir / "rows", Json({row}).dump());
        const auto rows = read_results(dir / "rows");
        ASSERT_FALSE(rows) << row;
        EXPECT_NE(rows.error().text.find(name), std::string::npos) << rows.error().text;
    };
    for (const Json& value : {Json(), Json(1), Json::object()}) {
        refused(op("a", 1), "backend", value);
        refused(roof("read", 1 << 20, 2, "GB/s"), "unit", value);
        for (const char* name : {"op", "constants"}) refused(program("gemm"), name, value);
    }
    for (const Json& value : {Json(), Json("1"), Json(-1), Json(1e300), Json(1e-300)}) {
        for (const char* name : {"median_us", "gb_s", "gflop_s", "bytes", "flops"}) refused(op("a", 1), name, value);
        refused(roof("read", 1 << 20, 2, "GB/s"), "bytes", value);
        refused(program("gemm"), "spilled", value);
        if (value.is_null()) continue;  // these two say which kind it is
        refused(roof("read", 1 << 20, 2, "GB/s"), "value", value);
        refused(model(1), "avg_ts", value);
    }
}

// A logarithmic axis has no place for them.
TEST(Report, RatesOfZero) {
    Json none = op("a", 1);
    none["gflop_s"] = 0;
    EXPECT_EQ(roofline_svg({none}, "cpu"), "");
    const std::string svg = roofline_svg({none, op("b", 1), roof("f32", nullptr, 0, "GFLOP/s")}, "cpu");
    EXPECT_NE(svg.find("<svg"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Report, ThePageIsSelfContained) {
    const std::vector<Json> rows = {
        op("a \"quoted\" & <shape>", 100),    skipped("b"),     model(10), roof("read", 1 << 28, 20, "GB/s"),
        roof("f32", nullptr, 100, "GFLOP/s"), program("few<1>")};
    const std::string page = report_page(rows, {op("a \"quoted\" & <shape>", 200)}, "Title <1>");
    for (const char* wanted :
         {"<!DOCTYPE html>", "prefers-color-scheme:dark", "name=\"viewport\"", "<svg viewBox",
          "a &quot;quoted&quot; &amp; &lt;shape&gt;", "avx&lt;2&gt;", "<title>Title &lt;1&gt;</title>", "id=\"ops\"",
          "id=\"models\"", "id=\"roofs\"", "id=\"compare\"", "id=\"isa\"", "few&lt;1&gt;", "class=\"faint\">skipped",
          "data-v=\"100\"", "@media print"})
        EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
    for (const char* unwanted : {"http:", "https:", "src=", "<link", "@import", "url(", "<shape>"})
        EXPECT_EQ(page.find(unwanted), std::string::npos) << unwanted;
}

size_t count(const std::string& text, const std::string& part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

TEST(Report, ThePlotHasEveryOperatorAndRoof) {
    const std::vector<Json> rows = {op("a", 100), op("b", 10), skipped("c"), roof("read", 1 << 28, 20, "GB/s"),
                                    roof("f32", nullptr, 100, "GFLOP/s")};
    const std::string svg = roofline_svg(rows, "cpu");
    EXPECT_EQ(count(svg, "<circle"), 2u);
    EXPECT_EQ(count(svg, "class=\"roof\""), 2u);
    EXPECT_NE(svg.find("read 20 GB/s"), std::string::npos);
    EXPECT_EQ(count(svg, "nan") + count(svg, "inf"), 0u);
    EXPECT_EQ(count(roofline_svg({op("a", 1)}, "cpu"), "class=\"roof\""), 0u);  // unknown roofs
    EXPECT_EQ(roofline_svg({skipped("c")}, "cpu"), "");
}

}  // namespace
}  // namespace vks::bench
