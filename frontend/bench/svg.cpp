#include "frontend/bench/svg.h"

#include <fmt/format.h>

namespace vks::bench {

std::string escape_html(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '<') {
            out += "&lt;";
        } else if (c == '>') {
            out += "&gt;";
        } else if (c == '&') {
            out += "&amp;";
        } else if (c == '"') {
            out += "&quot;";
        } else {
            out += c;
        }
    }
    return out;
}

std::string section(const std::string& title, const std::string& content) {
    return content.empty() ? "" : fmt::format("<section><h2>{}</h2>\n{}</section>\n", escape_html(title), content);
}

std::string svg_open(const std::string& name) {
    return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth, kHeight,
                       escape_html(name));
}

std::string line(double x1, double y1, double x2, double y2, const char* kind) {
    return fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind, x1, y1,
                       x2, y2);
}

std::string label(double x, double y, const char* anchor, const std::string& text, const char* lower) {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" dy=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, lower, anchor,
                       escape_html(text));
}

std::string dot(double x, double y, const std::string& text, const std::string& attributes) {
    return fmt::format(
        "<circle class=\"op\"{} cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" tabindex=\"0\"><title>{}</title></circle>\n",
        attributes, x, y, escape_html(text));
}

}  // namespace vks::bench
