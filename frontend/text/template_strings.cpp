// Python's str operations on UTF-8 text.
#include "frontend/text/template_strings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "frontend/text/utf8.h"

namespace vks::tmpl {

namespace {

bool starts_code_point(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

// Start of the code point that ends before byte `end`.
std::size_t previous_boundary(std::string_view text, std::size_t end) {
    std::size_t at = end - 1;
    while (!starts_code_point(text[at])) --at;
    return at;
}

}  // namespace

CodePoint code_point(std::string_view text, std::size_t at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) return {lead, 1};
    const Utf8Piece piece = utf8_piece(text.substr(at));
    return {piece.code_point, piece.length};
}

void append_code_point(std::string& text, char32_t code) {
    auto push = [&](char32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
    if (code < 0x80) {
        push(code);
    } else if (code < 0x800) {
        push(0xC0 | code >> 6);
        push(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        push(0xE0 | code >> 12);
        push(0x80 | (code >> 6 & 0x3F));
        push(0x80 | (code & 0x3F));
    } else {
        push(0xF0 | code >> 18);
        push(0x80 | (code >> 12 & 0x3F));
        push(0x80 | (code >> 6 & 0x3F));
        push(0x80 | (code & 0x3F));
    }
}

bool is_space(char32_t code) {
    if (code < 0x80) return code == ' ' || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

std::size_t text_length(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_code_point));
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        if (starts_code_point(text[at]) && index-- == 0) break;
    }
    return at;
}

std::string_view strip(std::string_view text, std::optional<std::string_view> chars, bool left, bool right) {
    std::vector<char32_t> set;
    if (chars) {
        for (std::size_t at = 0; at < chars->size();) {
            const CodePoint point = code_point(*chars, at);
            set.push_back(point.code);
            at += point.bytes;
        }
        std::sort(set.begin(), set.end());
    }
    auto goes = [&](char32_t code) {
        return chars ? std::binary_search(set.begin(), set.end(), code) : is_space(code);
    };
    while (left && !text.empty()) {
        const CodePoint point = code_point(text, 0);
        if (!goes(point.code)) break;
        text.remove_prefix(point.bytes);
    }
    while (right && !text.empty()) {
        const std::size_t at = previous_boundary(text, text.size());
        if (!goes(code_point(text, at).code)) break;
        text.remove_suffix(text.size() - at);
    }
    return text;
}

Finder::Finder(std::string_view needle) : needle_(needle), fallback_(needle.size(), 0) {
    for (std::size_t i = 1, matched = 0; i < needle.size(); ++i) {
        while (matched > 0 && needle[i] != needle[matched]) matched = fallback_[matched - 1];
        if (needle[i] == needle[matched]) ++matched;
        fallback_[i] = matched;
    }
}

std::size_t Finder::find(std::string_view text, std::size_t from) const {
    if (needle_.empty()) return from <= text.size() ? from : std::string_view::npos;
    for (std::size_t i = from, matched = 0; i < text.size(); ++i) {
        while (matched > 0 && text[i] != needle_[matched]) matched = fallback_[matched - 1];
        if (text[i] == needle_[matched]) ++matched;
        if (matched == needle_.size()) return i + 1 - matched;
    }
    return std::string_view::npos;
}

namespace {

std::vector<std::string_view> split_at_spaces(std::string_view text, long long limit) {
    std::vector<std::string_view> parts;
    text = strip(text, std::nullopt, true, false);
    while (!text.empty()) {
        if (limit >= 0 && static_cast<long long>(parts.size()) == limit) {
            parts.push_back(text);  // Python leaves the spaces at its end
            break;
        }
        std::size_t end = 0;
        while (end < text.size()) {
            const CodePoint point = code_point(text, end);
            if (is_space(point.code)) break;
            end += point.bytes;
        }
        parts.push_back(text.substr(0, end));
        text = strip(text.substr(end), std::nullopt, true, false);
    }
    return parts;
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator, long long limit) {
    if (!separator) return split_at_spaces(text, limit);
    std::vector<std::string_view> parts;
    const Finder finder(*separator);
    std::size_t from = 0;
    while (limit < 0 || static_cast<long long>(parts.size()) < limit) {
        const std::size_t at = finder.find(text, from);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(from, at - from));
        from = at + separator->size();
    }
    parts.push_back(text.substr(from));
    return parts;
}

std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator, long long limit) {
    // Searching the reversed text keeps the search linear and takes the right-most of overlapping matches first.
    const std::string back_text(text.rbegin(), text.rend());
    const std::string back_separator(separator.rbegin(), separator.rend());
    std::vector<std::string_view> parts;
    std::size_t end = text.size();
    for (std::string_view part : split(back_text, back_separator, limit)) {
        parts.push_back(text.substr(end - part.size(), part.size()));
        if (end - part.size() >= separator.size()) end -= part.size() + separator.size();
    }
    std::reverse(parts.begin(), parts.end());
    return parts;
}

std::string float_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    std::array<char, 64> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
    std::string_view text(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
    std::string out;
    if (text.front() == '-') {
        out = "-";
        text.remove_prefix(1);
    }
    const std::size_t mark = text.find('e');
    const int exponent = std::atoi(std::string(text.substr(mark + 1)).c_str());
    std::string digits(text.substr(0, 1));
    if (mark > 2) digits += text.substr(2, mark - 2);
    if (exponent < -4 || exponent >= 16) {
        out += digits.substr(0, 1);
        if (digits.size() > 1) out += "." + digits.substr(1);
        out += exponent < 0 ? "e-" : "e+";
        if (std::abs(exponent) < 10) out += "0";
        return out + std::to_string(std::abs(exponent));
    }
    if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
    return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

}  // namespace vks::tmpl
