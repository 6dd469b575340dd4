// UTF-8 decoding after the table of well-formed byte sequences (Unicode 14, table 3-7).
#include "frontend/text/utf8.h"

#include <fmt/format.h>

#include "backend/base/check.h"

namespace vks {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr size_t kMaxQuoted = 60;  // bytes of an excerpt

// How many bytes follow a first byte, and the range of the second; `count` 0: no character starts like this.
struct Tail {
    uint32_t count;
    uint8_t low, high;
};

Tail tail_of(uint8_t lead) {
    if (lead >= 0xC2 && lead <= 0xDF) return {1, 0x80, 0xBF};
    if (lead == 0xE0) return {2, 0xA0, 0xBF};
    if (lead == 0xED) return {2, 0x80, 0x9F};  // the surrogates are left out
    if (lead >= 0xE1 && lead <= 0xEF) return {2, 0x80, 0xBF};
    if (lead == 0xF0) return {3, 0x90, 0xBF};
    if (lead >= 0xF1 && lead <= 0xF3) return {3, 0x80, 0xBF};
    if (lead == 0xF4) return {3, 0x80, 0x8F};
    return {0, 0, 0};
}

size_t ascii_run(std::string_view bytes) {
    size_t n = 0;
    while (n < bytes.size() && static_cast<uint8_t>(bytes[n]) < 0x80) ++n;
    return n;
}

}  // namespace

Utf8Piece utf8_piece(std::string_view bytes) {
    CHECK(!bytes.empty(), "utf8_piece of nothing");
    const auto lead = static_cast<uint8_t>(bytes[0]);
    if (lead < 0x80) return {Utf8Piece::kCharacter, 1, lead};
    Tail tail = tail_of(lead);
    if (tail.count == 0) return {Utf8Piece::kInvalid, 1, 0};
    uint32_t code_point = lead & (0x3Fu >> tail.count);
    for (uint32_t i = 1; i <= tail.count; ++i) {
        if (i == bytes.size()) return {Utf8Piece::kCut, i, 0};
        const auto c = static_cast<uint8_t>(bytes[i]);
        if (c < tail.low || c > tail.high) return {Utf8Piece::kInvalid, i, 0};
        tail.low = 0x80;
        tail.high = 0xBF;
        code_point = code_point << 6 | (c & 0x3Fu);
    }
    return {Utf8Piece::kCharacter, tail.count + 1, code_point};
}

std::optional<size_t> find_invalid_utf8(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
        at += ascii_run(text.substr(at));
        if (at == text.size()) break;
        const Utf8Piece piece = utf8_piece(text.substr(at));
        if (piece.kind != Utf8Piece::kCharacter) return at;
        at += piece.length;
    }
    return std::nullopt;
}

size_t append_utf8(std::string& out, std::string_view bytes, bool at_end) {
    size_t at = 0;
    while (at < bytes.size()) {
        const size_t run = ascii_run(bytes.substr(at));
        out.append(bytes, at, run);
        at += run;
        if (at == bytes.size()) break;
        const Utf8Piece piece = utf8_piece(bytes.substr(at));
        if (piece.kind == Utf8Piece::kCut && !at_end) break;
        out.append(piece.kind == Utf8Piece::kCharacter ? bytes.substr(at, piece.length) : kReplacement);
        at += piece.length;
    }
    return at;
}

std::string excerpt(std::string_view text) {
    std::string out = "\"";
    size_t at = 0;
    while (at < text.size() && at < kMaxQuoted) {
        const Utf8Piece piece = utf8_piece(text.substr(at));
        const uint32_t c = piece.code_point;
        if (piece.kind != Utf8Piece::kCharacter) {
            out.append(kReplacement);
        } else if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029) {
            out.append(fmt::format("\\u{:04x}", c));
        } else {
            out.append(text, at, piece.length);
        }
        at += piece.length;
    }
    out.append(at < text.size() ? "\"..." : "\"");
    return out;
}

}  // namespace vks
