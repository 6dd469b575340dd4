#include "frontend/bench/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

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
    if (kind == Kind::kTune) {
        if (!is_text("number")) return "number";
        for (const char* name : {"cases", "usual_us", "best_us"})
            if (!is_number(name)) return name;
        return nullptr;
    }
    for (const char* name : {"op", "shape"})
        if (!is_text(name)) return name;
    if (row.contains("median_us") && row["median_us"].is_null()) return nullptr;
    for (const char* name : {"median_us", "gb_s", "gflop_s", "bytes", "flops"})
        if (!is_number(name)) return name;
    return nullptr;
}

// What a row measured, the same in every run, and how fast that was.
struct Figure {
    std::string what;  // "cpu fp8_gemm T 8 up_proj 18432 x 7168"
    double value = 0;
    std::string unit;           // "us", "t/s", "GB/s", "spilled"
    bool less_is_more = false;  // a time, or what a pipeline takes
};

struct Setting {
    const char* field;
    const char* name;
};
// How a model was run: what two runs may be compared by, unless one of them has several.
constexpr Setting kSettings[] = {
    {"n_threads", "threads"}, {"type_k", "cache"}, {"n_batch", "chunk"}, {"routing", "routing"}};

std::vector<std::string> varied_settings(const std::vector<Json>& a, const std::vector<Json>& b) {
    std::vector<std::string> varied;
    for (const Setting& setting : kSettings)
        for (const auto* rows : {&a, &b}) {
            std::set<std::string> values;
            for (const Json& row : *rows)
                if (kind_of(row) == Kind::kModel && row.contains(setting.field))
                    values.insert(row[setting.field].dump());
            if (values.size() > 1) {
                varied.emplace_back(setting.field);
                break;
            }
        }
    return varied;
}

std::string model_name(const nlohmann::json& row, const std::vector<std::string>& settings) {
    std::string name = fmt::format("{} {}", text_of(row, "backends"), text_of(row, "model_type"));
    if (row.contains("n_layer")) name += fmt::format(", {} layers", field<int64_t>(row, "n_layer", 0));
    if (row.contains("n_expert")) name += fmt::format(", {} experts", field<int64_t>(row, "n_expert", 0));
    for (const Setting& setting : kSettings)
        if (row.contains(setting.field) && std::find(settings.begin(), settings.end(), setting.field) != settings.end())
            name +=
                fmt::format(", {} {}", setting.name,
                            row[setting.field].is_string() ? text_of(row, setting.field) : row[setting.field].dump());
    name += ", " + model_test(row);
    return text_of(row, "depth_rows") == "repeated" ? name + ", rows repeated" : name;
}

// Of a pipeline, what tests/isa/baseline.py compares, and what was spilled.
std::vector<Figure> isa_figures_of(const nlohmann::json& row) {
    std::vector<Figure> list;
    for (const char* name : {"spilled", "registers", "waves", "code"})
        if (row.contains(name) && row[name].is_number())
            list.push_back({fmt::format("{} {} {}: {}", text_of(row, "backend"), text_of(row, "shader"),
                                        text_of(row, "constants"), name),
                            row[name].get<double>(), name, name != std::string_view("waves")});
    return list;
}

// None of what was not measured: skipped, or wrong.
std::vector<Figure> figures_of(const nlohmann::json& row, const std::vector<std::string>& settings) {
    switch (*kind_of(row)) {
        case Kind::kOps: {
            const double us = field<double>(row, "median_us", 0);
            if (us <= 0) return {};
            const std::string numbers = text_of(row, "numbers");  // of bench shader --sweep
            return {{fmt::format("{} {} {}{}", text_of(row, "backend"), text_of(row, "op"), text_of(row, "shape"),
                                 numbers.empty() ? "" : ", " + numbers),
                     us, "us", true}};
        }
        case Kind::kModel:
            return {{model_name(row, settings), field<double>(row, "avg_ts", 0), "t/s", false}};
        case Kind::kRoofline: {
            const std::string unit = text_of(row, "unit");
            const double bytes = field<double>(row, "bytes", 0);
            return {{fmt::format("{} {}{}", text_of(row, "backend"), text_of(row, "what"),
                                 bytes > 0 ? " " + binary_size(bytes) : ""),
                     field<double>(row, "value", 0), unit, unit == "us"}};
        }
        case Kind::kIsa:
            return isa_figures_of(row);
        case Kind::kTune:
            return {{fmt::format("{} {}, {:.0f} cases", text_of(row, "backend"), text_of(row, "number"),
                                 field<double>(row, "cases", 0)),
                     field<double>(row, "best_us", 0), "us", true}};
    }
    return {};
}

}  // namespace

std::optional<Kind> kind_of(const nlohmann::json& row) {
    if (!row.is_object()) return {};
    if (row.contains("shader") && row.contains("registers")) return Kind::kIsa;
    if (row.contains("op") && row.contains("shape")) return Kind::kOps;
    if (row.contains("avg_ts") && row.contains("n_gen")) return Kind::kModel;
    if (row.contains("what") && row.contains("value")) return Kind::kRoofline;
    if (row.contains("number") && row.contains("usual_us")) return Kind::kTune;
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
            return bad_input("results ({}): wanted rows that vkseek bench wrote, found {} at position {}",
                             path.string(), describe(row), rows.size());
        if (const char* name = missing_field(row))
            return bad_input("results ({}): wanted {} as -o json writes it, found {} at position {}", path.string(),
                             name, row.contains(name) ? describe(row[name]) : "none", rows.size());
        rows.emplace_back(row);
    }
    return rows;
}

std::vector<Json> compare(const std::vector<Json>& a, const std::vector<Json>& b) {
    std::vector<Json> list;
    std::map<std::string, size_t> place;
    const std::vector<std::string> settings = varied_settings(a, b);
    const auto add = [&](const std::vector<Json>& rows, const char* side) {
        std::map<std::string, int> seen;
        for (const Json& row : rows)
            for (Figure& figure : figures_of(row, settings)) {
                if (const int n = ++seen[figure.what]; n > 1) figure.what += fmt::format(" #{}", n);
                const auto [it, fresh] = place.try_emplace(figure.what, list.size());
                if (fresh)
                    list.push_back({{"what", figure.what},
                                    {"unit", figure.unit},
                                    {"a", nullptr},
                                    {"b", nullptr},
                                    {"speed", nullptr}});
                Json& one = list[it->second];
                one[side] = figure.value;
                if (one["a"].is_null() || one["b"].is_null()) continue;
                const double first = one["a"], second = one["b"];
                const double ratio = first == second       ? 1  // zeros, too
                                     : figure.less_is_more ? first / second
                                                           : second / first;
                if (std::isfinite(ratio)) one["speed"] = ratio;
            }
    };
    add(a, "a");
    add(b, "b");
    return list;
}

bool any_in_both(const std::vector<Json>& compared) {
    return std::any_of(compared.begin(), compared.end(),
                       [](const Json& row) { return !row["a"].is_null() && !row["b"].is_null(); });
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
