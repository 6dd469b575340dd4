#include "frontend/bench/results.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "backend/base/bad_input.h"
#include "frontend/bench/model_bench.h"
#include "frontend/io/json.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
T field(const nlohmann::json& row, const char* name, T otherwise) {
    const auto found = row.find(name);
    if (found == row.end() || found->is_null()) return otherwise;
    const bool fits = std::is_integral_v<T>         ? found->is_number_integer()
                      : std::is_floating_point_v<T> ? found->is_number()
                                                    : found->is_string();
    return fits ? found->get<T>() : otherwise;
}

std::string text_of(const nlohmann::json& row, const char* name) {
    return field<std::string>(row, name, "");
}

std::string model_test(const nlohmann::json& row) {
    return ModelTest{field<int64_t>(row, "n_prompt", 0), field<int64_t>(row, "n_gen", 0),
                     field<int64_t>(row, "n_depth", 0), field<int64_t>(row, "mtp", 0),
                     field<double>(row, "mtp_acceptance", 1)}
        .name();
}

// What every row of its kind has, and the readers of rows take for granted.
const char* missing_field(const nlohmann::json& row) {
    const auto is_text = [&](const char* name) { return row.contains(name) && row[name].is_string(); };
    // Zero, or of a size that any axis has room for.
    const auto is_number = [&](const char* name) {
        if (!row.contains(name) || !row[name].is_number()) return false;
        const auto value = row[name].get<double>();
        return value == 0 || (value >= 1e-30 && value <= 1e30);
    };
    const Kind kind = *kind_of(row);
    if (kind == Kind::kModel) return is_number("avg_ts") ? nullptr : "avg_ts";
    if (!is_text("backend")) return "backend";
    if (kind == Kind::kRoofline) {
        for (const char* name : {"what", "unit"})
            if (!is_text(name)) return name;
        if (!is_number("value")) return "value";
        return row["unit"] != "GB/s" || is_number("bytes") ? nullptr : "bytes";
    }
    if (kind == Kind::kIsa) {
        for (const char* name : {"op", "shader", "constants"})
            if (!is_text(name)) return name;
        return is_number("spilled") ? nullptr : "spilled";
    }
    for (const char* name : {"op", "shape"})
        if (!is_text(name)) return name;
    if (row.contains("median_us") && row["median_us"].is_null()) return nullptr;
    for (const char* name : {"median_us", "gb_s", "gflop_s", "bytes", "flops"})
        if (!is_number(name)) return name;
    return nullptr;
}

}  // namespace

std::optional<Kind> kind_of(const nlohmann::json& row) {
    if (!row.is_object()) return {};
    if (row.contains("shader") && row.contains("registers")) return Kind::kIsa;
    if (row.contains("op") && row.contains("shape")) return Kind::kOps;
    if (row.contains("avg_ts") && row.contains("n_gen")) return Kind::kModel;
    if (row.contains("what") && row.contains("value")) return Kind::kRoofline;
    return {};
}

Result<std::vector<Json>> read_results(const std::filesystem::path& path) {
    constexpr uint64_t kMost = 256 << 20;
    VKS_ASSIGN(const std::string text, read_file(path, kMost));
    VKS_ASSIGN(const nlohmann::json document, parse_json(text, path.string()));
    if (!document.is_array())
        return bad_input("results ({}): wanted an array, as -o json writes, found {}", path.string(),
                         describe(document));
    std::vector<Json> rows;
    for (const nlohmann::json& row : document) {
        if (!kind_of(row))
            return bad_input("results ({}): wanted rows of bench ops, model, roofline or isa, found {} at position {}",
                             path.string(), describe(row), rows.size());
        if (const char* name = missing_field(row))
            return bad_input("results ({}): wanted {} as -o json writes it, found {} at position {}", path.string(),
                             name, row.contains(name) ? describe(row[name]) : "none", rows.size());
        rows.emplace_back(row);
    }
    return rows;
}

std::optional<Figure> figure_of(const nlohmann::json& row) {
    switch (*kind_of(row)) {
        case Kind::kOps: {
            const double us = field<double>(row, "median_us", 0);
            if (us <= 0) return {};
            return Figure{fmt::format("{} {} {}", text_of(row, "backend"), text_of(row, "op"), text_of(row, "shape")),
                          us, "us", true};
        }
        case Kind::kModel:
            return Figure{
                fmt::format("{} {} {}", text_of(row, "backends"), text_of(row, "model_type"), model_test(row)),
                field<double>(row, "avg_ts", 0), "t/s", false};
        case Kind::kRoofline: {
            const std::string unit = text_of(row, "unit");
            const double bytes = field<double>(row, "bytes", 0);
            return Figure{fmt::format("{} {}{}", text_of(row, "backend"), text_of(row, "what"),
                                      bytes > 0 ? " " + binary_size(bytes) : ""),
                          field<double>(row, "value", 0), unit, unit == "us"};
        }
        case Kind::kIsa:
            return {};
    }
    return {};
}

std::vector<Json> compare(const std::vector<Json>& a, const std::vector<Json>& b) {
    std::vector<Json> list;
    std::map<std::string, size_t> place;
    const auto add = [&](const std::vector<Json>& rows, const char* side) {
        for (const Json& row : rows) {
            const auto figure = figure_of(row);
            if (!figure) continue;
            const auto [it, fresh] = place.try_emplace(figure->what, list.size());
            if (fresh)
                list.push_back({{"what", figure->what},
                                {"unit", figure->unit},
                                {"a", nullptr},
                                {"b", nullptr},
                                {"speed", nullptr}});
            Json& one = list[it->second];
            one[side] = figure->value;
            if (one["a"].is_null() || one["b"].is_null()) continue;
            const double first = one["a"], second = one["b"];
            const double ratio = figure->less_is_more ? first / second : second / first;
            if (std::isfinite(ratio)) one["speed"] = ratio;
        }
    };
    add(a, "a");
    add(b, "b");
    return list;
}

TableLayout compare_table() {
    const auto number = [](const char* name, const char* format) {
        return [=](const Json& row) {
            return row[name].is_null() ? std::string("-") : fmt::format(fmt::runtime(format), row[name].get<double>());
        };
    };
    return {
        "vkseek_compare",
        {{"what", Type::kText}, {"unit", Type::kText}, {"a", Type::kReal}, {"b", Type::kReal}, {"speed", Type::kReal}},
        {{"what", -60, [](const Json& row) { return row["what"].get<std::string>(); }},
         {"A", 12, number("a", "{:.2f}")},
         {"B", 12, number("b", "{:.2f}")},
         {"unit", -7, [](const Json& row) { return row["unit"].get<std::string>(); }},
         {"B's speed", 9, number("speed", "{:.3f}")}}};
}

std::vector<std::string> slower(const std::vector<Json>& compared, double percent) {
    std::vector<std::string> list;
    for (const Json& row : compared) {
        const bool gone = row["b"].is_null() && !row["a"].is_null();
        if (gone || (!row["speed"].is_null() && row["speed"].get<double>() < 1 - percent / 100))
            list.push_back(row["what"].get<std::string>());
    }
    return list;
}

}  // namespace vks::bench
