// Pieces of pages and of plots in them.
#pragma once
#include <string>

namespace vks::bench {

// Of every plot; the axes are at kLeft and kHeight - kBottom.
constexpr double kWidth = 760, kHeight = 440, kLeft = 80, kRight = 32, kTop = 32, kBottom = 48;

// For text between tags and in attributes.
std::string escape_html(const std::string& text);

// A part of a page under a heading; nothing when there is no content.
std::string section(const std::string& title, const std::string& content);

std::string svg_open(const std::string& name);
std::string line(double x1, double y1, double x2, double y2, const char* kind);
// `anchor` as SVG's text-anchor; `lower`: by how much, as SVG's dy.
std::string label(double x, double y, const char* anchor, const std::string& text, const char* lower = "0");
// One that takes the focus and says what it is.
std::string dot(double x, double y, const std::string& text, const std::string& attributes = "");

}  // namespace vks::bench
