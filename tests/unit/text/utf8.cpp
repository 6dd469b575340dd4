// Broken UTF-8: how it is divided into pieces, replaced, and shown in messages.
#include "frontend/text/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vks {
namespace {

std::string replaced(std::string_view bytes) {
    std::string out;
    EXPECT_EQ(append_utf8(out, bytes, true), bytes.size());
    return out;
}

TEST(Utf8, EveryCodePointIsOneCharacter) {
    for (uint32_t c = 0; c < 0x110000; ++c) {
        std::string s;
        if (c < 0x80) {
            s = {static_cast<char>(c)};
        } else if (c < 0x800) {
            s = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
        } else if (c < 0x10000) {
            s = {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
                 static_cast<char>(0x80 | (c & 63))};
        } else {
            s = {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
                 static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
        }
        const Utf8Piece piece = utf8_piece(s);
        if (c >= 0xD800 && c < 0xE000) {
            EXPECT_EQ(piece.kind, Utf8Piece::kInvalid) << c;
            continue;
        }
        ASSERT_EQ(piece.kind, Utf8Piece::kCharacter) << c;
        ASSERT_EQ(piece.code_point, c);
        ASSERT_EQ(piece.length, s.size());
        for (size_t n = 1; n < s.size(); ++n) {
            ASSERT_EQ(utf8_piece(std::string_view(s).substr(0, n)).kind, Utf8Piece::kCut) << c;
        }
    }
}

TEST(Utf8, OneReplacementForEachMaximalPiece) {
    const std::string r = "\xEF\xBF\xBD";
    const std::vector<std::pair<std::string, std::string>> cases = {
        // The Unicode Standard, tables 3-8 to 3-11.
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", r + r + r + r + r + r + r + r + "A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", r + r + r + r + r + r + r + r + "A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", r + r + r + r + r + "A" + r + r + "B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r + r + r + r + "A"},
        {"\xE4\xBD", r},
        {"\xF0\x9F\x98", r},
        {"a\xE4\xBD\xA0\xE5", "a\xE4\xBD\xA0" + r},
        {std::string("\0\x7F", 2), std::string("\0\x7F", 2)},
        {"", ""},
    };
    for (const auto& [bytes, text] : cases) EXPECT_EQ(replaced(bytes), text);
}

TEST(Utf8, FindsTheFirstBrokenByte) {
    EXPECT_FALSE(find_invalid_utf8(""));
    EXPECT_FALSE(find_invalid_utf8("plain \xE4\xBD\xA0 \xF0\x9F\x98\x80"));
    EXPECT_EQ(find_invalid_utf8("ab\x80").value(), 2u);
    EXPECT_EQ(find_invalid_utf8("ab\xE4\xBD").value(), 2u);
    EXPECT_EQ(find_invalid_utf8("\xE4\xBD\xA0\xED\xA0\x80").value(), 3u);
}

TEST(Utf8, LeavesACutCharacterForLater) {
    std::string out;
    EXPECT_EQ(append_utf8(out, "a\xF0\x9F\x98", false), 1u);
    EXPECT_EQ(out, "a");
    EXPECT_EQ(append_utf8(out, "\xF0\x9F\x98\x80", false), 4u);
    EXPECT_EQ(out, "a\xF0\x9F\x98\x80");
    EXPECT_EQ(append_utf8(out, "\xE4\x41", false), 2u);  // can not become a character any more
}

TEST(Utf8, ExcerptsAreOneShortLine) {
    EXPECT_EQ(excerpt("Ġthe"), "\"Ġthe\"");
    EXPECT_EQ(excerpt("a\n\x1B\x80"), "\"a\\u000a\\u001b\xEF\xBF\xBD\"");
    EXPECT_LT(excerpt(std::string(100000, 'x')).size(), 100u);
    EXPECT_FALSE(find_invalid_utf8(excerpt(std::string(59, 'x') + "世世世")));
}

}  // namespace
}  // namespace vks
