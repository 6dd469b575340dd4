// Results in the formats llama-bench prints: a Markdown table for people, csv, json, jsonl and sql for programs.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "backend/base/result.h"

namespace vks::bench {

enum class Format { kMarkdown, kCsv, kJson, kJsonl, kSql };
// "md", "csv", "json", "jsonl", "sql". `option` is for the message.
Result<Format> parse_format(std::string_view text, std::string_view option);

enum class Type { kText, kInteger, kReal };

struct Column {
    std::string name;
    Type type = Type::kText;
};

// A column for people: `cell` makes its text of a row.
struct Heading {
    std::string title;
    int width = 0;  // negative: to the left
    std::function<std::string(const nlohmann::ordered_json&)> cell;
};

struct TableLayout {
    std::string sql_name;
    std::vector<Column> columns;  // of csv and sql; json has all that a row has
    std::vector<Heading> headings;
};

// Gives the text piece by piece, so that results show as they come: begin(), row() each, end().
class TablePrinter {
public:
    TablePrinter(TableLayout layout, Format format) : layout_(std::move(layout)), format_(format) {}
    std::string begin() const;
    std::string row(const nlohmann::ordered_json& row);
    std::string end() const;

private:
    TableLayout layout_;
    Format format_;
    int64_t rows_ = 0;
};

// "1.04 GiB" and "1.14 B", as llama-bench writes sizes and counts.
std::string binary_size(double bytes);
std::string short_count(double count);

}  // namespace vks::bench
