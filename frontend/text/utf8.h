// UTF-8 in byte strings: where it is broken, and what a reader sees instead. Knows no tokens.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vks {

// The first piece of a byte string.
struct Utf8Piece {
    enum Kind {
        kCharacter,  // a whole, well-formed character
        kInvalid,    // a maximal piece that can not become one (Unicode 14, section 3.9, "maximal subpart")
        kCut,        // the string ends inside what may still become one
    };
    Kind kind;
    uint32_t length;      // bytes, at least 1
    uint32_t code_point;  // kCharacter only
};

// Looks at the start of `bytes`, which must not be empty. Thread-safe.
Utf8Piece utf8_piece(std::string_view bytes);

// The offset of the first byte that is not part of well-formed UTF-8, if there is one. Thread-safe.
std::optional<size_t> find_invalid_utf8(std::string_view text);

// Appends `bytes` to `out` with U+FFFD for each broken piece, and returns how many bytes were used: all of them if
// `at_end`, otherwise all but a character that is cut off at the end (at most 3 bytes). Thread-safe.
size_t append_utf8(std::string& out, std::string_view bytes, bool at_end);

// `text` as a quoted, single-line excerpt for messages: control characters escaped, long texts cut. Thread-safe.
std::string excerpt(std::string_view text);

}  // namespace vks
