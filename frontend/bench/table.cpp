#include "frontend/bench/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "backend/base/bad_input.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<std::string_view, Format>, 5> kFormats = {{{"md", Format::kMarkdown},
                                                                          {"csv", Format::kCsv},
                                                                          {"json", Format::kJson},
                                                                          {"jsonl", Format::kJsonl},
                                                                          {"sql", Format::kSql}}};

std::string dump(const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// `text` between `mark`s, marks within doubled.
std::string quoted(const std::string& text, char mark) {
    std::string out(1, mark);
    for (const char c : text) {
        if (c == mark) out += mark;
        out += c;
    }
    return out + mark;
}

// As csv and sql have it, without quotes; empty for what is not there.
std::string plain(const Json& row, const Column& column) {
    const auto found = row.find(column.name);
    if (found == row.end() || found->is_null()) return "";
    if (found->is_string()) return found->get<std::string>();
    if (found->is_boolean()) return found->get<bool>() ? "1" : "0";
    return found->is_number_float() ? fmt::format("{:.6f}", found->get<double>()) : found->dump();
}

std::string sql_value(const Json& row, const Column& column) {
    const auto found = row.find(column.name);
    if (found == row.end() || found->is_null()) return "NULL";
    const std::string text = plain(row, column);
    return column.type == Type::kText ? quoted(text, '\'') : text;
}

std::string joined(const std::vector<Column>& columns, const std::function<std::string(const Column&)>& text,
                   std::string_view between) {
    std::string out;
    for (const Column& column : columns) out += (out.empty() ? "" : std::string(between)) + text(column);
    return out;
}

std::string name_of(const Column& column) {
    return column.name;
}

std::string sql_name(const Column& column) {
    return quoted(column.name, '"');  // may be a keyword: "limit"
}

std::string sql_declaration(const Column& column) {
    constexpr std::array<const char*, 3> kNames = {"TEXT", "INTEGER", "REAL"};
    return fmt::format("  {} {}", sql_name(column), kNames[size_t(column.type)]);
}

// Width in characters; the only ones beyond ASCII here take one column each.
size_t shown_width(const std::string& text) {
    return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, int width) {
    const auto wanted = size_t(std::abs(width)), found = shown_width(text);
    const std::string space(wanted > found ? wanted - found : 0, ' ');
    return width < 0 ? text + space : space + text;
}

// A pipe would end the cell.
std::string cell_text(std::string text) {
    for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    return text;
}

}  // namespace

Result<Format> parse_format(std::string_view text, std::string_view option) {
    for (const auto& [name, format] : kFormats)
        if (text == name) return format;
    return Error{Code::kUsage,
                 fmt::format("format ({}): wanted md, csv, json, jsonl or sql, found {}", option, quote(text, 40))};
}

std::string TablePrinter::begin() const {
    if (format_ == Format::kCsv) return joined(layout_.columns, name_of, ",") + "\n";
    if (format_ == Format::kSql)
        return fmt::format("CREATE TABLE IF NOT EXISTS {} (\n{}\n);\n\n", layout_.sql_name,
                           joined(layout_.columns, sql_declaration, ",\n"));
    if (format_ != Format::kMarkdown) return format_ == Format::kJson ? "[" : "";
    std::string titles = "|", rule = "|";
    for (const Heading& h : layout_.headings) {
        titles += " " + padded(h.title, h.width) + " |";
        const auto width = std::max(size_t(std::abs(h.width)), shown_width(h.title));
        rule += " " + std::string(width - (h.width > 0), '-') + (h.width > 0 ? ": |" : " |");
    }
    return titles + "\n" + rule + "\n";
}

std::string TablePrinter::row(const Json& row) {
    const bool first = rows_++ == 0;
    const auto value = [&](const Column& c) { return sql_value(row, c); };
    switch (format_) {
        case Format::kMarkdown: {
            std::string line = "|";
            for (const Heading& h : layout_.headings) line += " " + padded(cell_text(h.cell(row)), h.width) + " |";
            return line + "\n";
        }
        case Format::kCsv:
            return joined(
                       layout_.columns, [&](const Column& c) { return quoted(plain(row, c), '"'); }, ",") +
                   "\n";
        case Format::kJson:
            return (first ? "\n" : ",\n") + dump(row, 2);
        case Format::kJsonl:
            return dump(row, -1) + "\n";
        case Format::kSql:
            return fmt::format("INSERT INTO {} ({}) VALUES ({});\n", layout_.sql_name,
                               joined(layout_.columns, sql_name, ", "), joined(layout_.columns, value, ", "));
    }
    return {};
}

std::string TablePrinter::end() const {
    if (format_ != Format::kJson) return {};
    return rows_ > 0 ? "\n]\n" : "]\n";
}

std::string binary_size(double bytes) {
    constexpr double kMebi = 1 << 20, kGibi = 1 << 30;
    return bytes >= kGibi ? fmt::format("{:.2f} GiB", bytes / kGibi) : fmt::format("{:.2f} MiB", bytes / kMebi);
}

std::string short_count(double count) {
    return count >= 1e9 ? fmt::format("{:.2f} B", count / 1e9) : fmt::format("{:.2f} M", count / 1e6);
}

}  // namespace vks::bench
