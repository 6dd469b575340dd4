// The plots of growth: times against what varies, both from zero on.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/bench/growth.h"
#include "frontend/bench/report.h"
#include "frontend/bench/svg.h"

namespace vks::bench {
namespace {

struct Names {
    const char *title, *axis, *time;
};

Names names(Axis axis) {
    switch (axis) {
        case Axis::kContext:
            return {"Time by context", "rows in the latent cache", "ms a token"};
        case Axis::kPrompt:
            return {"Time by length of the prompt", "tokens", "ms a prompt"};
        case Axis::kRows:
            return {"Time by rows of a step", "rows", "ms a step"};
        case Axis::kExperts:
            return {"Time by number of experts", "experts of a layer", "ms a token"};
        case Axis::kThreads:
            return {"Time by threads", "threads", "ms a token or prompt"};
    }
    return {"", "", ""};
}

// From 0 to the next round number above `most`.
struct Linear {
    double most = 0, step = 1, from, to;

    Linear(double largest, double begin, double end) : from(begin), to(end) {
        const double power = std::pow(10, std::floor(std::log10(largest)));
        for (const double by : {0.2, 0.5, 1.0, 2.0})
            if (largest <= 5 * by * power * 1.001) {
                step = by * power;
                break;
            }
        most = step * std::ceil(largest / step - 1e-9);
    }
    double at(double value) const { return from + value / most * (to - from); }
};

std::string grid(const Linear& x, const Linear& y, const Names& name) {
    std::string svg;
    for (int i = 0; i * x.step <= x.most * 1.001; ++i) {
        const double at = x.at(i * x.step);
        svg += line(at, y.from, at, y.to, "grid") + label(at, y.from + 18, "middle", fmt::format("{:g}", i * x.step));
    }
    for (int i = 0; i * y.step <= y.most * 1.001; ++i) {
        const double at = y.at(i * y.step);
        svg += line(x.from, at, x.to, at, "grid") + label(x.from - 6, at + 4, "end", fmt::format("{:g}", i * y.step));
    }
    return svg + label((x.from + x.to) / 2, kHeight - 8, "middle", name.axis) + label(4, 16, "start", name.time);
}

std::string curve(const Growth& growth, const Law& law, const Linear& x, const Linear& y, const char* kind) {
    constexpr int kPieces = 60;
    const double first = growth.points.front().x, last = growth.points.back().x;
    std::string points;
    for (int i = 0; i <= kPieces; ++i) {
        const double at = first + (last - first) * i / kPieces;
        points += fmt::format("{:.1f},{:.1f} ", x.at(at), y.at(std::clamp(law.at(growth.axis, at), 0.0, y.most)));
    }
    return fmt::format("<polyline class=\"{}\" points=\"{}\"/>\n", kind, points);
}

std::string plot(const Growth& growth) {
    double most = 0;
    for (const GrowthPoint& p : growth.points) most = std::max({most, p.ms, p.expected.value_or(0)});
    const Names name = names(growth.axis);
    const Linear x(growth.points.back().x, kLeft, kWidth - kRight), y(most, kHeight - kBottom, kTop);
    std::string svg = svg_open(name.title) + grid(x, y, name) + curve(growth, growth.fitted, x, y, "roof");
    if (growth.expected) svg += curve(growth, *growth.expected, x, y, "roof expected");
    for (const GrowthPoint& p : growth.points)
        svg += dot(x.at(p.x), y.at(p.ms),
                   fmt::format("{:g}: {:.4g} ms", p.x, p.ms) +
                       (p.expected ? fmt::format(", expected {:.4g}", *p.expected) : ""));
    return svg + "</svg>\n<p class=\"which faint\">One dot, one result.</p>\n";
}

}  // namespace

std::string growth_sections(const std::vector<nlohmann::ordered_json>& rows) {
    std::string html;
    for (const Growth& growth : find_growths(rows)) {
        std::string text = fmt::format("<p>{}. Line: {}, which all are within {:.1f} % of.", escape_html(growth.what),
                                       law_text(growth.axis, growth.fitted), 100 * growth.worst);
        if (growth.expected)
            text += fmt::format(" Dashed, as the first result and the work of a step imply: {}.",
                                law_text(growth.axis, *growth.expected));
        html += section(names(growth.axis).title, text + "</p>\n" + plot(growth));
    }
    return html;
}

}  // namespace vks::bench
