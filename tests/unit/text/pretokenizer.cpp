// The Split patterns: that PCRE2 means by them what Oniguruma means, and what is refused.
#include "frontend/text/pretokenizer.h"

#include <gtest/gtest.h>

namespace vks {
namespace {

using Words = std::vector<std::string_view>;

// DeepSeek-V3's.
const std::vector<std::string> kPatterns = {
    R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"};

Words split(const std::vector<std::string>& patterns, std::string_view text) {
    const auto made = Pretokenizer::compile(patterns, "f");
    EXPECT_TRUE(made) << made.error().text;
    Words words;
    const Status done = made->split(text, words);
    EXPECT_TRUE(done) << done.error().text;
    return words;
}

TEST(Pretokenizer, CutsAsDeepSeekDoes) {
    EXPECT_EQ(split(kPatterns, ""), Words());
    EXPECT_EQ(split({}, "all of it"), Words({"all of it"}));
    EXPECT_EQ(split(kPatterns, "Hello world"), Words({"Hello", " world"}));
    EXPECT_EQ(split(kPatterns, "12345x678"), Words({"123", "45", "x", "678"}));
    EXPECT_EQ(split(kPatterns, "a   b\n\n c"), Words({"a", "  ", " b", "\n\n", " c"}));
    EXPECT_EQ(split(kPatterns, "x  1"), Words({"x", "  ", "1"}));  // a pattern sees one piece, not what follows it
    EXPECT_EQ(split(kPatterns, "日本語のテキスト。"), Words({"日本語のテキスト", "。"}));
    EXPECT_EQ(split(kPatterns, "(foo) ...\n"), Words({"(foo", ")", " ...\n"}));
    EXPECT_EQ(split(kPatterns, "\x01\x02"), Words({"\x01\x02"}));  // what no pattern matches stays
}

TEST(Pretokenizer, SpacesAreWhiteSpaceWithoutMongolianVowelSeparator) {
    EXPECT_EQ(split({R"(\s+)"}, "a\u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\x0b\x1f"),
              Words({"a", "\u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\x0b", "\x1f"}));
    EXPECT_EQ(split({R"(\s)"}, "a\u180eb\u200bc"), Words({"a\u180eb\u200bc"}));
    EXPECT_EQ(split({R"(\S+)"}, " a\u180eb "), Words({" ", "a\u180eb", " "}));
}

TEST(Pretokenizer, KnowsUnicode16) {
    EXPECT_EQ(split({R"(\p{S}+)"}, "a\U0001FAE8b"), Words({"a", "\U0001FAE8", "b"}));  // 15.0
    EXPECT_EQ(split({R"([x\p{S}]+)"}, "a\u2ffcxb"), Words({"a", "\u2ffcx", "b"}));     // 15.1
    EXPECT_EQ(split({R"(\p{L}+)"}, "1\U00010D4A2"), Words({"1", "\U00010D4A", "2"}));  // 16.0
    EXPECT_EQ(split({R"(\P{L}+)"}, "\U00010D4A2"), Words({"\U00010D4A", "2"}));
    EXPECT_EQ(split({R"([^\p{L}]+)"}, "\U00010D4A2"), Words({"\U00010D4A", "2"}));
    EXPECT_EQ(split({R"(\p{L}+)"}, "a\nb"), Words({"a", "\n", "b"}));
}

TEST(Pretokenizer, RefusesWhatPcre2WouldReadOtherwise) {
    const std::vector<std::string> patterns = {
        "(?i:a)",    "(?<=a)b", "(*UTF)a", "(?>a)",   "(?#x)a",     "^a",     "a$",       "a.",         R"(\w)",
        R"(\h)",     R"(\R)",   R"(\d)",   R"(\v)",   R"(\x41)",    R"(\1a)", R"(\Qa\E)", R"(\p{Han})", R"(\p{Lu})",
        R"(\p{^L})", R"(\pL)",  R"(\p)",   R"([\s])", R"([\P{L}])", "[a[b]]", "[a&&b]",   "[]a]",       "[^]a]",
        "a{2}+",     "a{1,2}?", "a{,2}",   "a{x}",    "a{1",        "a{100}", "a{1,100}", "a{100,}"};
    for (const std::string& pattern : patterns) {
        const auto made = Pretokenizer::compile({pattern}, "some/tokenizer.json");
        ASSERT_FALSE(made) << pattern;
        EXPECT_EQ(made.error().code, Code::kBadInput);
        EXPECT_NE(made.error().text.find("(some/tokenizer.json): wanted supported syntax, found "), std::string::npos)
            << made.error().text;
    }
}

TEST(Pretokenizer, RefusesBrokenPatterns) {
    for (const char* pattern :
         {"(a", "a)", "[a", "[b-a]", "*", "\\", "a*", "", "a|", "(?=a)", "\xFF", "\\p{L", "[\\"}) {
        const auto made = Pretokenizer::compile({pattern}, "f");
        ASSERT_FALSE(made) << pattern;
        EXPECT_EQ(made.error().text.find('\n'), std::string::npos);
    }
}

// The ways to divide a run of a's double with each one, and none is followed by b.
TEST(Pretokenizer, GivesUpOnEndlessBacktracking) {
    const auto made = Pretokenizer::compile({"(a+)+b"}, "f");
    ASSERT_TRUE(made) << made.error().text;
    Words words;
    const Status done = made->split(std::string(100, 'a') + "xb", words);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().text, "text: wanted one the pre_tokenizer patterns can split, found match limit exceeded");
}

// Each a is a word, after looking ahead in as many ways as there are pairs of places further on.
TEST(Pretokenizer, GivesUpOnBacktrackingFromEveryPlace) {
    const auto made = Pretokenizer::compile({"a(?=(?:a|b)*(?:a|c)*[de])|a"}, "f");
    ASSERT_TRUE(made) << made.error().text;
    Words words;
    EXPECT_TRUE(made->split(std::string(50, 'a'), words));
    const Status done = made->split(std::string(2000, 'a'), words);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().text, "text: wanted one the pre_tokenizer patterns can split, found match limit exceeded");
}

// PCRE2 itself counts none of these steps: they are characters that a repeat runs over.
TEST(Pretokenizer, GivesUpOnStackedRepeats) {
    const std::string few(50, 'a'), many = std::string(size_t{1} << 20, 'a') + "baaa";
    for (const char* pattern : {"a(?=a*a*a*[de])|a", "a(?=a*[de])|a", "a(?=a*)|a", "a(?=a{2,}[de])|a", "a+b|a"}) {
        const auto made = Pretokenizer::compile({pattern}, "f");
        ASSERT_TRUE(made) << made.error().text;
        Words words;
        EXPECT_TRUE(made->split(few, words)) << pattern;
        EXPECT_EQ(words, Words(few.size(), "a")) << pattern;
        const Status done = made->split(many, words);
        const bool linear = std::string_view(pattern) == "a+b|a";
        ASSERT_EQ(bool(done), linear) << pattern;
        if (linear) continue;
        EXPECT_EQ(done.error().text,
                  "text: wanted one the pre_tokenizer patterns can split, found match limit exceeded");
    }
}

TEST(Pretokenizer, CountingStepsChangesNoWord) {
    std::vector<std::string> counted;
    for (const std::string& pattern : kPatterns) counted.push_back("(?:" + pattern + ")");
    std::string text = "Hello world, (foo) ...\n\n 12345x678 日本語のテキスト。\x01\x02 don't\t\r\n é\u0301 ";
    text +=
        std::string(10000, ' ') + std::string(10000, 'a') + std::string(10000, '\n') + std::string(10000, '.') + "x";
    EXPECT_EQ(split(counted, text), split(kPatterns, text));
}

TEST(Pretokenizer, LongRunsAreLinear) {
    const size_t n = size_t{1} << 20;
    for (const char* unit :
         {"a", " ", "\n", "1", ".", "\x01", "字", "\u3000", "😀", " a", "a ", "  \n", "\u0301", "<"}) {
        std::string text;
        while (text.size() < n) text += unit;
        size_t total = 0;
        for (const std::string_view word : split(kPatterns, text)) {
            ASSERT_FALSE(word.empty());
            ASSERT_EQ(word.data(), text.data() + total);
            total += word.size();
        }
        EXPECT_EQ(total, text.size());
    }
}

}  // namespace
}  // namespace vks
