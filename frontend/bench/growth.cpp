#include "frontend/bench/growth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

// Points that a law of up to three terms is believed from. Not every machine has four cores.
size_t least(Axis axis) {
    return axis == Axis::kThreads ? 2 : 4;
}

constexpr int64_t kFewRows = 16;

struct Kept {
    const char* field;
    bool number;
};
// What two results of one growth share, but for the one on the axis.
constexpr Kept kKept[] = {{"model_type", false}, {"backends", false}, {"type_k", false},
                          {"n_threads", true},   {"n_prompt", true},  {"n_gen", true},
                          {"n_depth", true},     {"n_layer", true},   {"n_expert", true}};

double number(const Json& row, const char* name) {
    const auto found = row.find(name);
    return found != row.end() && found->is_number() ? found->get<double>() : 0;
}

// The terms of a law at x.
std::array<double, 3> terms(Axis axis, double x) {
    if (axis == Axis::kThreads) return {1, 1 / x, 0};
    return {1, x, axis == Axis::kPrompt ? x * x : 0};
}

size_t count_terms(Axis axis) {
    return axis == Axis::kPrompt ? 3 : 2;
}

bool varies(Axis axis, const std::string& field) {
    switch (axis) {
        case Axis::kContext:
            return field == "n_depth";
        case Axis::kPrompt:
        case Axis::kRows:
            return field == "n_prompt";
        case Axis::kExperts:  // the model's name has its size
            return field == "n_expert" || field == "model_type";
        case Axis::kThreads:
            return field == "n_threads";
    }
    return false;
}

// Its place on an axis; nothing if it is of another kind.
std::optional<double> place(Axis axis, const Json& row) {
    const double prompt = number(row, "n_prompt"), generated = number(row, "n_gen");
    if (number(row, "mtp") > 0 || (prompt > 0) == (generated > 0) || number(row, "avg_ts") <= 0) return {};
    double x = 0;
    if (axis == Axis::kContext && generated > 0) x = number(row, "n_depth") + generated / 2;
    if (axis == Axis::kPrompt && prompt > kFewRows) x = prompt;
    if (axis == Axis::kRows && prompt <= kFewRows) x = prompt;
    if (axis == Axis::kExperts && generated > 0) x = number(row, "n_expert");
    if (axis == Axis::kThreads) x = number(row, "n_threads");
    return x > 0 ? std::optional(x) : std::nullopt;
}

std::string key_of(Axis axis, const Json& row) {
    std::string key;
    for (const Kept& kept : kKept)
        if (!varies(axis, kept.field)) key += (row.contains(kept.field) ? row[kept.field].dump() : "") + "\n";
    return key;
}

std::string text(const Json& row, const char* name) {
    return row.contains(name) && row[name].is_string() ? row[name].get<std::string>() : "model";
}

std::string what_grows(Axis axis, const Json& row) {
    std::string what = axis == Axis::kExperts ? "" : text(row, "model_type") + ", ";
    const double prompt = number(row, "n_prompt"), generated = number(row, "n_gen"), depth = number(row, "n_depth");
    if (axis == Axis::kExperts) what += fmt::format("{:.0f} layers, ", number(row, "n_layer"));
    if (prompt > 0 && axis == Axis::kThreads) what += fmt::format("prompt of {:.0f}, ", prompt);
    if (generated > 0) what += fmt::format("{:.0f} tokens generated, ", generated);
    if (depth > 0 && axis != Axis::kContext) what += fmt::format("depth {:.0f}, ", depth);
    what += text(row, "backends");
    if (axis != Axis::kThreads) what += fmt::format(", threads {:.0f}", number(row, "n_threads"));
    return what;
}

// Bytes where they take the time, multiplications of prompts.
double work(Axis axis, const Json& row) {
    if (axis == Axis::kThreads) return 1 / number(row, "n_threads");
    return number(row, axis == Axis::kPrompt ? "step_flops" : "step_bytes");
}

Growth grow(Axis axis, const std::vector<const Json*>& rows) {
    Growth growth{axis, what_grows(axis, *rows.front()), {}, {}, {}, 0};
    const double first_work = work(axis, *rows.front());
    for (const Json* row : rows) {
        const double tokens = number(*row, "n_prompt") > 0 ? number(*row, "n_prompt") : 1;
        GrowthPoint point{*place(axis, *row), 1e3 * tokens / number(*row, "avg_ts"), {}};
        const double grown = work(axis, *row);
        if (first_work > 0 && grown > 0)
            point.expected = (growth.points.empty() ? point.ms : growth.points.front().ms) * grown / first_work;
        growth.points.push_back(point);
    }
    return growth;
}

// Solves the normal equations; false where they are singular.
bool solve(std::array<std::array<double, 4>, 3>& a, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        size_t most = i;
        for (size_t r = i + 1; r < n; ++r)
            if (std::abs(a[r][i]) > std::abs(a[most][i])) most = r;
        std::swap(a[i], a[most]);
        if (std::abs(a[i][i]) < 1e-12) return false;
        for (size_t r = 0; r < n; ++r) {
            if (r == i) continue;
            const double by = a[r][i] / a[i][i];
            for (size_t c = i; c < 4; ++c) a[r][c] -= by * a[i][c];
        }
    }
    return true;
}

bool add_laws(Growth& growth) {
    std::vector<std::pair<double, double>> measured, expected;
    for (const GrowthPoint& p : growth.points) {
        measured.emplace_back(p.x, p.ms);
        if (p.expected) expected.emplace_back(p.x, *p.expected);
    }
    const auto law = fit(growth.axis, measured);
    if (!law) return false;
    growth.fitted = *law;
    if (expected.size() == measured.size()) growth.expected = fit(growth.axis, expected);
    for (const GrowthPoint& p : growth.points)
        growth.worst = std::max(growth.worst, std::abs(p.ms / law->at(growth.axis, p.x) - 1));
    return true;
}

}  // namespace

double Law::at(Axis axis, double x) const {
    const auto t = terms(axis, x);
    return by[0] * t[0] + by[1] * t[1] + by[2] * t[2];
}

std::optional<Law> fit(Axis axis, const std::vector<std::pair<double, double>>& points) {
    const size_t n = count_terms(axis);
    if (points.empty()) return {};
    // In units of the largest x, so that the terms are of one size.
    double unit = 0;
    for (const auto& [x, y] : points) unit = std::max(unit, x);
    std::array<std::array<double, 4>, 3> a{};
    for (const auto& [x, y] : points) {
        const auto t = terms(axis, x / unit);
        for (size_t i = 0; i < n; ++i) {
            for (size_t j = 0; j < n; ++j) a[i][j] += t[i] * t[j] / (y * y);
            a[i][3] += t[i] / y;
        }
    }
    for (size_t i = 0; i < n; ++i) {
        const double by = a[i][i] > 0 ? 1 / a[i][i] : 1;
        for (double& value : a[i]) value *= by;
    }
    if (!solve(a, n)) return {};
    Law law;
    const double scale = axis == Axis::kThreads ? unit : 1 / unit;
    for (size_t i = 0; i < n; ++i) law.by[i] = a[i][3] / a[i][i] * std::pow(scale, double(i));
    return law;
}

std::vector<Growth> find_growths(const std::vector<Json>& rows) {
    std::vector<Growth> growths;
    for (const Axis axis : {Axis::kContext, Axis::kPrompt, Axis::kRows, Axis::kExperts, Axis::kThreads}) {
        std::map<std::string, std::vector<const Json*>> sets;
        for (const Json& row : rows)
            if (place(axis, row)) sets[key_of(axis, row)].push_back(&row);
        for (auto& [key, set] : sets) {
            std::stable_sort(set.begin(), set.end(),
                             [&](const Json* a, const Json* b) { return *place(axis, *a) < *place(axis, *b); });
            std::set<double> different;
            for (const Json* row : set) different.insert(*place(axis, *row));
            if (different.size() < least(axis)) continue;
            Growth growth = grow(axis, set);
            if (add_laws(growth)) growths.push_back(std::move(growth));
        }
    }
    return growths;
}

std::string law_text(Axis axis, const Law& law) {
    const auto term = [](double by, const char* unit, const char* x) {
        return fmt::format(" {} {:.3g} {} {}", by < 0 ? "−" : "+", std::abs(by), unit, x);
    };
    std::string text = fmt::format("{:.3g} ms", std::abs(law.by[0]) < 1e-9 ? 0 : law.by[0]);
    switch (axis) {
        case Axis::kContext:
            return text + term(1e3 * law.by[1], "µs", "× context");
        case Axis::kPrompt:
            return text + term(1e3 * law.by[1], "µs", "× tokens") + term(1e6 * law.by[2], "ns", "× tokens²");
        case Axis::kRows:
            return text + term(law.by[1], "ms", "× rows");
        case Axis::kExperts:
            return text + term(1e3 * law.by[1], "µs", "× experts");
        case Axis::kThreads:
            return text + term(law.by[1], "ms", "÷ threads");
    }
    return text;
}

}  // namespace vks::bench
