// The tokenizer against Hugging Face's, for the released vocabulary and a small one of the same structure. What it
// refuses is in tokenizer_refusals.cpp.
#include "frontend/text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "frontend/text/utf8.h"
#include "tests/support/paths.h"

#ifndef VKS_REAL_TOKENIZER
#error "VKS_REAL_TOKENIZER: the build gives the path of the released tokenizer.json, unpacked"
#endif

namespace vks {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

std::string read(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    EXPECT_TRUE(stream) << path;
    return {std::istreambuf_iterator<char>(stream), {}};
}

Result<Tokenizer> mini(const std::string& config = "") {
    return Tokenizer::parse(read(test::data("tokenizer/mini_tokenizer.json")), config, "mini");
}

struct Golden {
    const char* name;
    const char* cases;
    Result<Tokenizer> (*load)();
};

std::ostream& operator<<(std::ostream& out, const Golden& golden) {
    return out << golden.name;
}

class TokenizerGolden : public testing::TestWithParam<Golden> {
protected:
    void SetUp() override {
        auto loaded = GetParam().load();
        ASSERT_TRUE(loaded) << loaded.error().text;
        tokenizer.emplace(*std::move(loaded));
        cases = json::parse(read(test::data(std::string("tokenizer/") + GetParam().cases)));
    }

    std::string stream(const Ids& ids, bool skip_special) const {
        StreamDecoder decoder(*tokenizer, skip_special);
        std::string text;
        for (const int32_t id : ids) {
            const std::string piece = decoder.push(id);
            EXPECT_FALSE(find_invalid_utf8(piece));
            text += piece;
        }
        return text + decoder.finish();
    }

    std::optional<Tokenizer> tokenizer;
    json cases;
};

INSTANTIATE_TEST_SUITE_P(
    HuggingFace, TokenizerGolden,
    testing::Values(Golden{"mini", "mini_cases.json", [] { return mini(); }},
                    Golden{"released", "real_cases.json",
                           [] { return Tokenizer::load(std::filesystem::path(VKS_REAL_TOKENIZER).parent_path()); }}),
    [](const auto& info) { return info.param.name; });

TEST_P(TokenizerGolden, Encodes) {
    ASSERT_GT(cases["encode"].size(), 400u);
    for (const json& c : cases["encode"]) {
        const auto ids = tokenizer->encode(c["text"].get<std::string>());
        ASSERT_TRUE(ids) << ids.error().text;
        EXPECT_EQ(*ids, c["ids"].get<Ids>()) << c["text"];
    }
}

TEST_P(TokenizerGolden, Decodes) {
    ASSERT_GT(cases["decode"].size(), 90u);
    for (const char* kind : {"encode", "decode"}) {
        for (const json& c : cases[kind]) {
            const Ids ids = c["ids"];
            EXPECT_EQ(tokenizer->decode(ids), c["decoded"].get<std::string>()) << c["ids"];
            EXPECT_EQ(tokenizer->decode(ids, true), c["decoded_skip_special"].get<std::string>()) << c["ids"];
        }
    }
}

TEST_P(TokenizerGolden, StreamsWhatItDecodes) {
    for (const char* kind : {"encode", "decode"}) {
        for (const json& c : cases[kind]) {
            for (const bool skip : {false, true}) {
                EXPECT_EQ(stream(c["ids"], skip), c[skip ? "decoded_skip_special" : "decoded"].get<std::string>());
            }
        }
    }
}

TEST_P(TokenizerGolden, TokenBytes) {
    ASSERT_GT(cases["token_bytes"].size(), 100u);
    for (const json& c : cases["token_bytes"]) {
        std::string hex;
        for (const char byte : tokenizer->token_bytes(c["id"])) {
            hex += "0123456789abcdef"[static_cast<uint8_t>(byte) >> 4];
            hex += "0123456789abcdef"[static_cast<uint8_t>(byte) & 15];
        }
        EXPECT_EQ(hex, c["bytes_hex"].get<std::string>()) << c["id"];
    }
}

TEST_P(TokenizerGolden, WithoutAddedTokensTextIsText) {
    const std::string text = "<｜begin▁of▁sentence｜>hi<｜User｜>";
    const auto ids = tokenizer->encode(text, false);
    ASSERT_TRUE(ids);
    EXPECT_GT(ids->size(), 10u);
    for (const int32_t id : *ids) EXPECT_FALSE(tokenizer->is_special(id));
    EXPECT_EQ(tokenizer->decode(*ids, true), text);
}

// Quadratic work anywhere on the way would take hours.
TEST_P(TokenizerGolden, LongInputsFinish) {
    for (const char* unit :
         {"a", " ", "\n", "\x01", "1", "世界", "<", "<｜", ".", "\u0301", "The fox was 12 years. "}) {
        std::string text;
        while (text.size() < size_t{1} << 20) text += unit;
        const auto ids = tokenizer->encode(text);
        ASSERT_TRUE(ids) << ids.error().text;
        EXPECT_EQ(tokenizer->decode(*ids), text);
    }
}

TEST_P(TokenizerGolden, ThreadsShareATokenizer) {
    std::vector<std::thread> threads;
    std::vector<int> wrong(3);
    for (size_t t = 0; t < wrong.size(); ++t) {
        threads.emplace_back([this, &count = wrong[t]] {
            for (const json& c : cases["encode"]) {
                const auto ids = tokenizer->encode(c["text"].get_ref<const std::string&>());
                count += !ids || *ids != c["ids"].get<Ids>() ||
                         tokenizer->decode(*ids) != c["decoded"].get_ref<const std::string&>();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int>(3));
}

TEST(Tokenizer, ReleasedFilesSayWhatTheySay) {
    const auto t = Tokenizer::load(std::filesystem::path(VKS_REAL_TOKENIZER).parent_path());
    ASSERT_TRUE(t) << t.error().text;
    EXPECT_EQ(t->size(), 128815u);
    EXPECT_EQ(t->id_limit(), 128815);
    EXPECT_EQ(t->bos_id(), 0);
    EXPECT_EQ(t->eos_id(), 1);
    EXPECT_EQ(t->bos_text(), "<｜begin▁of▁sentence｜>");
    EXPECT_EQ(t->eos_text(), "<｜end▁of▁sentence｜>");
    EXPECT_TRUE(t->add_bos());
    EXPECT_EQ(t->id_of("<｜User｜>"), 128803);
    EXPECT_FALSE(t->is_special(128803));
    EXPECT_TRUE(t->is_special(2));
    EXPECT_EQ(t->id_of("Ġthe"), t->encode(" the")->front());
    EXPECT_FALSE(t->id_of(" the"));
}

TEST(Tokenizer, IdsWithoutAnEntryPrintNothing) {
    const auto t = mini();
    ASSERT_TRUE(t);
    const Ids ids = {t->encode("a")->front(), 3000, -1, INT32_MAX, INT32_MIN, t->encode("b")->front()};
    EXPECT_EQ(t->decode(ids), "ab");
    EXPECT_EQ(t->decode(ids, true), "ab");
    EXPECT_EQ(t->token_bytes(3000), "");
    EXPECT_FALSE(t->is_special(-1));
    StreamDecoder stream(*t);
    EXPECT_EQ(stream.push(3000), "");
    EXPECT_EQ(stream.finish(), "");
}

TEST(Tokenizer, AStreamStartsAnewAfterItsEnd) {
    const auto t = mini();
    ASSERT_TRUE(t);
    const Ids ids = *t->encode("\U0001FAE8");
    ASSERT_EQ(ids.size(), 3u);  // the last two are single bytes
    StreamDecoder stream(*t);
    EXPECT_EQ(stream.push(ids[0]), "");
    EXPECT_EQ(stream.push(ids[1]), "");
    EXPECT_EQ(stream.finish(), "\uFFFD");
    EXPECT_EQ(stream.finish(), "");
    EXPECT_EQ(stream.push(ids[0]), "");
    EXPECT_EQ(stream.push(ids[1]), "");
    EXPECT_EQ(stream.push(ids[2]), "\U0001FAE8");
}

// Given by Hugging Face's tokenizers 0.22.2 (Unicode 16): spaces that are none any more, and recent characters.
TEST(Tokenizer, UnicodeBeyondTheGoldens) {
    const auto t = mini();
    ASSERT_TRUE(t);
    const std::vector<std::pair<std::string, Ids>> cases = {
        {"a\u180e\u180eb", {67, 160, 257, 239, 160, 257, 239, 68}},
        {"\u180e\n\u180e", {160, 257, 239, 201, 160, 257, 239}},
        {"  \u180e x", {223, 223, 160, 257, 239, 1430}},
        {" \U0001fae8\U0001fae8 x", {223, 541, 107, 104, 541, 107, 104, 1430}},
        {"a \u2ffc.", {67, 643, 126, 123, 16}},
        {"x\u0085\u0085 y", {90, 129, 230, 129, 230, 344}},
        {"\ua7cb\u0897 z", {169, 256, 236, 159, 98, 248, 223, 92}},
    };
    for (const auto& [text, ids] : cases) EXPECT_EQ(*t->encode(text), ids) << text;
}

TEST(Tokenizer, TextThatIsNotUtf8IsRefused) {
    const auto t = mini();
    ASSERT_TRUE(t);
    const auto ids = t->encode("abc\xFFz");
    ASSERT_FALSE(ids);
    EXPECT_EQ(ids.error().code, Code::kBadInput);
    EXPECT_EQ(ids.error().text, "text: wanted UTF-8, found byte 0xff at offset 3");
    EXPECT_FALSE(t->encode("\xED\xA0\x80"));  // a surrogate
    EXPECT_FALSE(t->encode("\xE4\xBD"));
}

// The mini tokenizer with other members.
json mini_json() {
    return json::parse(read(test::data("tokenizer/mini_tokenizer.json")));
}

json added_token(int32_t id, const char* content, bool normalized) {
    return {{"id", id}, {"content", content}, {"special", false}, {"normalized", normalized}};
}

Ids encode(const json& file, std::string_view text) {
    const auto t = Tokenizer::parse(file.dump(), "", "mini");
    EXPECT_TRUE(t) << t.error().text;
    return t ? *t->encode(text) : Ids();
}

TEST(Tokenizer, AddedTokensLeftmostLongestAndUnnormalizedFirst) {
    json file = mini_json();
    for (const json& token : {added_token(3000, "[a", true), added_token(3001, "[ab]", true),
                              added_token(3002, "b]c", true), added_token(3003, "]cd", false)}) {
        file["added_tokens"].push_back(token);
    }
    EXPECT_EQ(encode(file, "[ab]"), Ids({3001}));
    EXPECT_EQ(encode(file, "[ab]c"), Ids({3001, 69}));
    EXPECT_EQ(encode(file, "[ab"), Ids({3000, 68}));
    EXPECT_EQ(encode(file, "[ab]cd"), Ids({3000, 68, 3003}));
    EXPECT_EQ(encode(file, "b]cb]"), Ids({3002, 68, 63}));
}

TEST(Tokenizer, MergesOfEitherFormMeanTheSame) {
    json file = mini_json();
    const std::string text = "Tokenizers are loaded, in either form.";
    const Ids ids = encode(file, text);
    for (json& merge : file["model"]["merges"]) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    EXPECT_EQ(encode(file, text), ids);
}

TEST(Tokenizer, IgnoreMergesTakesWholeWords) {
    json file = mini_json();
    const Ids whole = encode(file, "the");
    ASSERT_EQ(whole.size(), 1u);
    file["model"]["merges"] = json::array();
    EXPECT_EQ(encode(file, "the").size(), 3u);
    file["model"]["ignore_merges"] = true;
    EXPECT_EQ(encode(file, "the"), whole);
    EXPECT_EQ(encode(file, "thexq").size(), 5u);
}

TEST(Tokenizer, AByteWithoutATokenIsAnErrorOnlyWhereItOccurs) {
    json file = mini_json();
    file["model"]["merges"] = json::array();
    file["model"]["vocab"].erase("Ā");  // the byte 0
    const auto t = Tokenizer::parse(file.dump(), "", "dir");
    ASSERT_TRUE(t) << t.error().text;
    EXPECT_TRUE(t->encode("all fine"));
    const auto ids = t->encode(std::string_view("a\0b", 3));
    ASSERT_FALSE(ids);
    EXPECT_EQ(ids.error().text, "text (dir/tokenizer.json): wanted bytes with a token in the vocabulary, found 0x00");
}

TEST(Tokenizer, ConfigDecidesOnBos) {
    const auto none = mini();
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->add_bos());
    EXPECT_FALSE(none->bos_id());
    EXPECT_FALSE(none->eos_id());
    EXPECT_EQ(none->eos_text(), "");

    const auto strings = mini(R"({"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": null, "unk_token": 3})");
    ASSERT_TRUE(strings) << strings.error().text;
    EXPECT_EQ(strings->bos_id(), 0);
    EXPECT_FALSE(strings->eos_id());
    EXPECT_FALSE(strings->add_bos());

    const auto objects = mini(R"({"add_bos_token": true, "bos_token": {"content": "<｜begin▁of▁sentence｜>"},
                                  "eos_token": {"__type": "AddedToken", "content": "<｜end▁of▁sentence｜>"}})");
    ASSERT_TRUE(objects) << objects.error().text;
    EXPECT_TRUE(objects->add_bos());
    EXPECT_EQ(objects->bos_text(), "<｜begin▁of▁sentence｜>");
    EXPECT_EQ(objects->eos_id(), 1);
}

// Files saved again by transformers put the BOS into the post-processor.
TEST(Tokenizer, ATemplateSaysBosUnlessTheConfigSaysOtherwise) {
    json file = mini_json();
    const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const json bos = {{"SpecialToken", {{"id", "<｜begin▁of▁sentence｜>"}, {"type_id", 0}}}};
    file["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {bos, text}}};
    const auto with = Tokenizer::parse(file.dump(), "{}", "dir");
    ASSERT_TRUE(with) << with.error().text;
    EXPECT_TRUE(with->add_bos());
    EXPECT_EQ(with->bos_id(), 0);
    EXPECT_EQ(with->encode("a")->size(), 1u);
    const auto without = Tokenizer::parse(file.dump(), R"({"add_bos_token": false})", "dir");
    ASSERT_TRUE(without);
    EXPECT_FALSE(without->add_bos());

    file["post_processor"] = {
        {"type", "Sequence"},
        {"processors", {{{"type", "ByteLevel"}}, {{"type", "TemplateProcessing"}, {"single", {text}}}}}};
    const auto plain = Tokenizer::parse(file.dump(), "", "dir");
    ASSERT_TRUE(plain) << plain.error().text;
    EXPECT_FALSE(plain->add_bos());
}

TEST(Tokenizer, MovesKeepItWorking) {
    auto first = mini();
    ASSERT_TRUE(first);
    const Ids ids = *first->encode("moved about");
    Tokenizer second = *std::move(first);
    EXPECT_EQ(*second.encode("moved about"), ids);
    EXPECT_EQ(second.decode(ids), "moved about");
}

}  // namespace
}  // namespace vks
