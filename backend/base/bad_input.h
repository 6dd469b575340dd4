// How bad input is reported: one printable line, whatever a hostile file put into its names.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "backend/base/result.h"

namespace vks {

// `text` with control characters (C0, DEL, C1) written as \xNN, so that it stays one line on any terminal.
inline std::string one_line(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool c1 = byte == 0xc2 && i + 1 < text.size() && (static_cast<unsigned char>(text[i + 1]) & 0xe0) == 0x80;
        if (byte < 0x20 || byte == 0x7f || c1) {
            out += fmt::format("\\x{:02x}", byte);
            if (c1) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
        } else {
            out += text[i];
        }
    }
    return out;
}

// A name out of a file, for a message: in quotes and cut at `limit` bytes, on a UTF-8 character's edge.
inline std::string quote(std::string_view name, size_t limit = 160) {
    if (name.size() <= limit) return fmt::format("\"{}\"", name);
    while (limit > 0 && (static_cast<unsigned char>(name[limit]) & 0xc0) == 0x80) --limit;
    return fmt::format("\"{}...\" ({} bytes)", name.substr(0, limit), name.size());
}

// An Error for a wrong file: bad_input("{} ({}): wanted {}, found {}", ...). The text is made printable here.
template <class... Args>
Error bad_input(fmt::format_string<Args...> format, Args&&... args) {
    return Error{Code::kBadInput, one_line(fmt::format(format, std::forward<Args>(args)...))};
}

}  // namespace vks
