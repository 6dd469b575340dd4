// What measurements come to, and how they are printed.
#include <gtest/gtest.h>

#include "frontend/bench/samples.h"
#include "frontend/bench/table.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

TableLayout layout() {
    return {"t",
            {{"name", Type::kText}, {"n", Type::kInteger}, {"x", Type::kReal}},
            {{"name", -6, [](const Json& row) { return row["name"].get<std::string>(); }},
             {"x", 8, [](const Json& row) { return row["x"].dump() + " ±"; }}}};
}

std::string print(Format format, const std::vector<Json>& rows) {
    TablePrinter printer(layout(), format);
    std::string text = printer.begin();
    for (const Json& row : rows) text += printer.row(row);
    return text + printer.end();
}

const std::vector<Json> kRows = {{{"name", "a\"b'|"}, {"n", 1}, {"x", 0.5}, {"more", {1, 2}}},
                                 {{"name", "b"}, {"n", nullptr}, {"x", 2.0}}};

TEST(BenchTable, Markdown) {
    EXPECT_EQ(print(Format::kMarkdown, kRows),
              "| name   |        x |\n"
              "| ------ | -------: |\n"
              "| a\"b'\\| |    0.5 ± |\n"
              "| b      |    2.0 ± |\n");
}

TEST(BenchTable, CsvQuotesValuesAndLeavesOutWhatIsNoColumn) {
    EXPECT_EQ(print(Format::kCsv, kRows), "name,n,x\n\"a\"\"b'|\",\"1\",\"0.500000\"\n\"b\",\"\",\"2.000000\"\n");
}

TEST(BenchTable, JsonIsOneDocumentWithEverything) {
    const Json read = Json::parse(print(Format::kJson, kRows));
    EXPECT_EQ(read, Json(kRows));
    EXPECT_EQ(Json::parse(print(Format::kJson, {})), Json::array());
}

TEST(BenchTable, JsonlIsADocumentALine) {
    const std::string text = print(Format::kJsonl, kRows);
    const size_t line = text.find('\n');
    EXPECT_EQ(Json::parse(text.substr(0, line)), kRows[0]);
    EXPECT_EQ(Json::parse(text.substr(line + 1)), kRows[1]);
}

TEST(BenchTable, Sql) {
    EXPECT_EQ(print(Format::kSql, kRows),
              "CREATE TABLE IF NOT EXISTS t (\n  \"name\" TEXT,\n  \"n\" INTEGER,\n  \"x\" REAL\n);\n\n"
              "INSERT INTO t (\"name\", \"n\", \"x\") VALUES ('a\"b''|', 1, 0.500000);\n"
              "INSERT INTO t (\"name\", \"n\", \"x\") VALUES ('b', NULL, 2.000000);\n");
}

TEST(BenchTable, Formats) {
    EXPECT_TRUE(parse_format("jsonl", "-o"));
    const auto wrong = parse_format("xml", "-o");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Code::kUsage);
    EXPECT_EQ(binary_size(1.5 * (1 << 30)), "1.50 GiB");
    EXPECT_EQ(short_count(250.45e6), "250.45 M");
}

TEST(BenchSamples, Figures) {
    const std::vector<double> samples = {3, 1, 2, 6};
    EXPECT_DOUBLE_EQ(mean(samples), 3);
    EXPECT_DOUBLE_EQ(median(samples), 2.5);
    EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2);
    EXPECT_DOUBLE_EQ(best(samples), 1);
    EXPECT_DOUBLE_EQ(spread(samples), 2);
    EXPECT_NEAR(deviation(samples), 2.160247, 1e-6);
    EXPECT_EQ(deviation({5}), 0);
    EXPECT_EQ(median({}), 0);
}

}  // namespace
}  // namespace vks::bench
