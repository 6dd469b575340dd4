// The roofline plot.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/bench/report.h"
#include "frontend/bench/results.h"
#include "frontend/bench/svg.h"

namespace vks::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Point {
    double intensity, rate;  // FLOP per byte, GFLOP/s
    std::string text;
    size_t row;  // among those of operators
};

struct Roof {
    std::string name;
    double value;  // GB/s or GFLOP/s
};

// From 10^low to 10^high.
struct LogAxis {
    double low, high, from, to;
    double at(double value) const { return from + (std::log10(value) - low) / (high - low) * (to - from); }
};

std::vector<Point> points_of(const std::vector<Json>& rows, const std::string& backend) {
    std::vector<Point> points;
    size_t next = 0;
    for (const Json& row : rows) {
        if (kind_of(row) != Kind::kOps) continue;
        const size_t at = next++;
        if (row["backend"] != backend || row["median_us"].is_null()) continue;
        const double flops = row.value("flops", 0.0), bytes = row.value("bytes", 0.0), rate = row["gflop_s"];
        if (flops <= 0 || bytes <= 0 || rate <= 0) continue;  // the axes are logarithmic
        points.push_back({flops / bytes, rate,
                          fmt::format("{} {}: {:.3g} GFLOP/s, {:.3g} GB/s", row["op"].get<std::string>(),
                                      row["shape"].get<std::string>(), rate, row["gb_s"].get<double>()),
                          at});
    }
    return points;
}

// The bandwidth of the largest read (or copy), and the rates.
void find_roofs(const std::vector<Json>& rows, const std::string& backend, Roof& memory, std::vector<Roof>& rates) {
    double largest = -1;
    for (const Json& row : rows) {
        if (kind_of(row) != Kind::kRoofline || row["backend"] != backend) continue;
        const auto what = row["what"].get<std::string>(), unit = row["unit"].get<std::string>();
        const double value = row["value"];
        if (unit == "GFLOP/s" && value > 0) rates.push_back({what, value});
        if (unit != "GB/s") continue;
        // Reads count more than copies of any size.
        const double rank = row["bytes"].get<double>() + (what == "read" ? 1e18 : 0);
        if (rank > largest) {
            largest = rank;
            memory = {what, value};
        }
    }
}

LogAxis axis_for(std::vector<double> values, double from, double to) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return {std::floor(std::log10(*low)), std::max(std::floor(std::log10(*low)) + 1, std::ceil(std::log10(*high))),
            from, to};
}

std::string grid(const LogAxis& x, const LogAxis& y) {
    std::string svg;
    for (double e = x.low; e <= x.high; ++e) {
        const double at = x.at(std::pow(10, e));
        svg +=
            line(at, y.from, at, y.to, "grid") + label(at, y.from + 18, "middle", fmt::format("{:g}", std::pow(10, e)));
    }
    for (double e = y.low; e <= y.high; ++e) {
        const double at = y.at(std::pow(10, e));
        svg +=
            line(x.from, at, x.to, at, "grid") + label(x.from - 6, at + 4, "end", fmt::format("{:g}", std::pow(10, e)));
    }
    return svg + label((x.from + x.to) / 2, kHeight - 8, "middle", "FLOP per byte") + label(4, 16, "start", "GFLOP/s");
}

// The slope up to the highest rate, and the rates as levels from where they meet it.
std::string roofs(const LogAxis& x, const LogAxis& y, const Roof& memory, std::vector<Roof> rates) {
    std::string svg;
    const double left = std::pow(10, x.low), right = std::pow(10, x.high), bottom = std::pow(10, y.low);
    double highest = std::pow(10, y.high);
    if (!rates.empty())
        highest =
            std::max_element(rates.begin(), rates.end(), [](auto& a, auto& b) { return a.value < b.value; })->value;
    if (memory.value > 0) {
        const double from = std::max(left, bottom / memory.value), to = std::min(right, highest / memory.value);
        svg += line(x.at(from), y.at(from * memory.value), x.at(to), y.at(to * memory.value), "roof");
        svg += label(x.at(from) + 16, y.at(from * memory.value), "start",
                     fmt::format("{} {:.3g} GB/s", memory.name, memory.value), "1.2em");
    }
    // Names above and below their lines in turn, as rates may be close.
    std::sort(rates.begin(), rates.end(), [](const Roof& a, const Roof& b) { return a.value > b.value; });
    for (size_t i = 0; i < rates.size(); ++i) {
        const Roof& rate = rates[i];
        const double from = memory.value > 0 ? std::clamp(rate.value / memory.value, left, right) : left;
        svg += line(x.at(from), y.at(rate.value), x.at(right), y.at(rate.value), "roof");
        svg += label(x.at(right) - 4, y.at(rate.value) - 5, "end",
                     fmt::format("{} {:.3g} GFLOP/s", rate.name, rate.value), i % 2 == 0 ? "0" : "1.4em");
    }
    return svg;
}

}  // namespace

std::string roofline_svg(const std::vector<Json>& rows, const std::string& backend) {
    const std::vector<Point> points = points_of(rows, backend);
    if (points.empty()) return {};
    Roof memory{"", 0};
    std::vector<Roof> rates;
    find_roofs(rows, backend, memory, rates);
    std::vector<double> xs, ys;
    for (const Point& p : points) {
        xs.push_back(p.intensity);
        ys.push_back(p.rate);
    }
    for (const Roof& rate : rates) ys.push_back(rate.value);
    const LogAxis x = axis_for(xs, kLeft, kWidth - kRight), y = axis_for(ys, kHeight - kBottom, kTop);
    std::string svg = svg_open("Roofline of " + backend);
    svg += grid(x, y) + roofs(x, y, memory, rates);
    for (const Point& p : points)
        svg += dot(x.at(p.intensity), y.at(p.rate), p.text, fmt::format(" data-row=\"{}\"", p.row));
    return svg + "</svg>\n";
}

}  // namespace vks::bench
