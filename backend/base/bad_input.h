// How bad input is reported: one printable line, whatever a hostile file put into its names.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "backend/base/result.h"

namespace vks {

// The length of the UTF-8 character that `text` begins with, 0 when it is none (overlong, surrogate, cut off, >
// U+10FFFF).
inline size_t utf8_length(std::string_view text) {
    const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned first = byte(0), second = byte(1);
    if (first < 0x80) return text.empty() ? 0 : 1;
    const size_t length = first >= 0xc2 && first < 0xe0   ? 2
                          : first >= 0xe0 && first < 0xf0 ? 3
                          : first >= 0xf0 && first < 0xf5 ? 4
                                                          : 0;
    for (size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool outside = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
    return overlong || outside ? 0 : length;
}

// `text` with control characters (C0, DEL, C1) and bytes that are not UTF-8 written as \xNN, so that it stays one line
// on any terminal and a string in any JSON.
inline std::string one_line(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const size_t length = utf8_length(text);
        const auto first = static_cast<unsigned char>(text[0]);
        const bool c1 = length == 2 && first == 0xc2 && (static_cast<unsigned char>(text[1]) & 0xe0) == 0x80;
        const size_t taken = length == 0 ? 1 : length;
        for (const char c : text.substr(0, taken)) {
            const auto byte = static_cast<unsigned char>(c);
            if (length == 0 || c1 || byte < 0x20 || byte == 0x7f) {
                out += fmt::format("\\x{:02x}", byte);
            } else {
                out += c;
            }
        }
        text.remove_prefix(taken);
    }
    return out;
}

// The beginning of `text`, of at most `limit` bytes, that ends at a UTF-8 character's edge.
inline std::string_view cut(std::string_view text, size_t limit) {
    if (text.size() <= limit) return text;
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;
    return text.substr(0, limit);
}

// A name out of a file, for a message: in quotes and cut at `limit` bytes.
inline std::string quote(std::string_view name, size_t limit = 160) {
    if (name.size() <= limit) return fmt::format("\"{}\"", name);
    return fmt::format("\"{}...\" ({} bytes)", cut(name, limit), name.size());
}

// An Error for a wrong file: bad_input("{} ({}): wanted {}, found {}", ...). The text is made printable here.
template <class... Args>
Error bad_input(fmt::format_string<Args...> format, Args&&... args) {
    return Error{Code::kBadInput, one_line(fmt::format(format, std::forward<Args>(args)...))};
}

}  // namespace vks
