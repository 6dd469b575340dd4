// Tokenizer files that are damaged, or that describe something else than this tokenizer does: one line that names the
// file and the field.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "frontend/text/tokenizer.h"
#include "tests/support/paths.h"

namespace vks {
namespace {

using nlohmann::json;

// Byte symbols for a and b, two merges, one added token.
json small() {
    return json::parse(R"({
        "added_tokens": [{"id": 5, "content": "<x>", "special": true, "normalized": false}],
        "normalizer": {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{N}"}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
        "post_processor": null,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "byte_fallback": false,
                  "vocab": {"a": 0, "b": 1, "ab": 2, "aba": 3}, "merges": ["a b", ["ab", "a"]]}})");
}

std::string refusal(const std::string& file, const std::string& config = "") {
    const auto t = Tokenizer::parse(file, config, "dir");
    if (t) return "";
    EXPECT_EQ(t.error().code, Code::kBadInput);
    EXPECT_EQ(t.error().text.find('\n'), std::string::npos);
    EXPECT_LT(t.error().text.size(), 400u);
    return t.error().text;
}

struct Case {
    const char* pointer;  // what to change in small()
    const char* value;    // what to, in JSON
    const char* message;
};

TEST(TokenizerRefusals, TheUnchangedFileIsFine) {
    EXPECT_EQ(refusal(small().dump()), "");
    EXPECT_EQ(*Tokenizer::parse(small().dump(), "", "dir")->encode("aba<x>b"), (std::vector<int32_t>{3, 5, 1}));
}

TEST(TokenizerRefusals, NothingHidesBehindANul) {
    using namespace std::string_literals;
    EXPECT_NE(refusal(small().dump() + "\0x"s).find("(dir/tokenizer.json): wanted JSON, found a NUL"),
              std::string::npos);
    EXPECT_NE(refusal(small().dump(), "{}\0x"s).find("(dir/tokenizer_config.json): wanted JSON"), std::string::npos);
}

TEST(TokenizerRefusals, LongAddedTokens) {
    json file = small();
    file["added_tokens"][0]["content"] = std::string(1024, 'a');
    EXPECT_EQ(refusal(file.dump()), "");
    file["added_tokens"][0]["content"] = std::string(1025, 'a');
    EXPECT_EQ(refusal(file.dump()),
              "tokenizer added_tokens[0].content (dir/tokenizer.json): wanted at most 1024 bytes, found 1025");
}

TEST(TokenizerRefusals, NamesFileAndField) {
    const std::vector<Case> cases = {
        {"", "[]", R"(tokenizer contents (dir/tokenizer.json): wanted an object, found an empty array)"},
        {"/model", "7", R"(tokenizer model (dir/tokenizer.json): wanted an object, found 7)"},
        {"/model/type", R"("Unigram")", R"(tokenizer model.type (dir/tokenizer.json): wanted "BPE", found "Unigram")"},
        {"/model/type", "null", R"(tokenizer model.type (dir/tokenizer.json): wanted "BPE", found null)"},
        {"/model/dropout", "0.1", R"(tokenizer model.dropout (dir/tokenizer.json): wanted null, found 0.1)"},
        {"/model/unk_token", R"("<u>")", R"(tokenizer model.unk_token (dir/tokenizer.json): wanted null, found "<u>")"},
        {"/model/continuing_subword_prefix", R"("##")",
         R"(subword_prefix (dir/tokenizer.json): wanted null, found "##")"},
        {"/model/end_of_word_suffix", R"("</w>")", R"(word_suffix (dir/tokenizer.json): wanted null, found "</w>")"},
        {"/model/byte_fallback", "true",
         R"(tokenizer model.byte_fallback (dir/tokenizer.json): wanted false, found true)"},
        {"/model/fuse_unk", "true", R"(tokenizer model.fuse_unk (dir/tokenizer.json): wanted false, found true)"},
        {"/model/ignore_merges", "1", R"(model.ignore_merges (dir/tokenizer.json): wanted true or false, found 1)"},
        {"/normalizer", R"({"type":"NFC"})",
         R"(normalizer (dir/tokenizer.json): wanted null or an empty Sequence, found "NFC")"},
        {"/normalizer/normalizers", R"([{"type":"NFKC"}])",
         R"(normalizers[0] (dir/tokenizer.json): wanted none, found "NFKC")"},
        {"/pre_tokenizer", "null", R"(tokenizer pre_tokenizer (dir/tokenizer.json): wanted ByteLevel, found null)"},
        {"/pre_tokenizer/type", R"("Whitespace")",
         R"(pre_tokenizer (dir/tokenizer.json): wanted ByteLevel, found "Whitespace")"},
        {"/pre_tokenizer/pretokenizers", "[]", R"(wanted Split patterns and ByteLevel, found an empty array)"},
        {"/pre_tokenizer/pretokenizers", "{}", R"(wanted an array, found an empty object)"},
        {"/pre_tokenizer/pretokenizers/0/type", R"("Digits")",
         R"(pretokenizers[0] (dir/tokenizer.json): wanted Split, found "Digits")"},
        {"/pre_tokenizer/pretokenizers/0/pattern", R"({"String":" "})",
         R"(pretokenizers[0].pattern.Regex (dir/tokenizer.json): wanted a regular expression, found null)"},
        {"/pre_tokenizer/pretokenizers/0/pattern/Regex", R"("\\w")",
         R"(pattern "\w" (dir/tokenizer.json): wanted supported syntax, found "\w")"},
        {"/pre_tokenizer/pretokenizers/0/pattern/Regex", R"("(a")",
         R"(pattern "(a" (dir/tokenizer.json): wanted a regular expression, found missing closing parenthesis)"},
        {"/pre_tokenizer/pretokenizers/0/behavior", R"("Removed")",
         R"(behavior (dir/tokenizer.json): wanted "Isolated", found "Removed")"},
        {"/pre_tokenizer/pretokenizers/0/invert", "true", R"(invert (dir/tokenizer.json): wanted false, found true)"},
        {"/pre_tokenizer/pretokenizers/1/add_prefix_space", "true",
         R"(add_prefix_space (dir/tokenizer.json): wanted false, found true)"},
        {"/pre_tokenizer/pretokenizers/1/use_regex", "null",
         R"(use_regex (dir/tokenizer.json): wanted false, found null)"},
        {"/post_processor", R"({"type":"BertProcessing"})",
         R"(wanted ByteLevel or TemplateProcessing, found "BertProcessing")"},
        {"/post_processor", R"({"type":"TemplateProcessing","single":[]})",
         R"(post_processor.single (dir/tokenizer.json): wanted an optional token and the text, found something else)"},
        {"/decoder", R"({"type":"Sequence"})",
         R"(tokenizer decoder (dir/tokenizer.json): wanted ByteLevel, found "Sequence")"},
        {"/decoder", "null", R"(tokenizer decoder (dir/tokenizer.json): wanted ByteLevel, found null)"},
        {"/model/vocab", "{}", R"(tokenizer model.vocab (dir/tokenizer.json): wanted tokens, found none)"},
        {"/model/vocab", R"(["a"])", R"(tokenizer model.vocab (dir/tokenizer.json): wanted tokens, found none)"},
        {"/model/vocab/a", "-1",
         R"(tokenizer id of token "a" (dir/tokenizer.json): wanted an integer from 0 to 4194303, found -1)"},
        {"/model/vocab/a", "4194304",
         R"(id of token "a" (dir/tokenizer.json): wanted an integer from 0 to 4194303, found 4194304)"},
        {"/model/vocab/a", "18446744073709551615",
         R"(wanted an integer from 0 to 4194303, found 18446744073709551615)"},
        {"/model/vocab/a", "1.0", R"(wanted an integer from 0 to 4194303, found 1.0)"},
        {"/model/vocab/a", R"("0")", R"(wanted an integer from 0 to 4194303, found "0")"},
        {"/model/vocab/a", "[0]", R"(wanted an integer from 0 to 4194303, found an empty array)"},
        {"/model/vocab/a", "1",
         R"(tokenizer id of token "b" (dir/tokenizer.json): wanted one of its own, found 1, the id of "a")"},
        {"/model/merges", "null", R"(tokenizer model.merges (dir/tokenizer.json): wanted a list, found none)"},
        {"/model/merges/0", R"("ab")", R"(model.merges[0] (dir/tokenizer.json): wanted two tokens, found "ab")"},
        {"/model/merges/0", R"("a b a")", R"(model.merges[0] (dir/tokenizer.json): wanted two tokens, found "a b a")"},
        {"/model/merges/0", R"(" b")", R"(model.merges[0] (dir/tokenizer.json): wanted two tokens, found " b")"},
        {"/model/merges/1", R"(["ab"])",
         R"(model.merges[1] (dir/tokenizer.json): wanted two tokens, found an array of 1)"},
        {"/model/merges/1", R"(["a","b","a"])",
         R"(model.merges[1] (dir/tokenizer.json): wanted two tokens, found an array of more)"},
        {"/model/merges/1", R"(["ab",0])", R"(model.merges[1] (dir/tokenizer.json): wanted two tokens, found 0)"},
        {"/model/merges/1", R"(["ab",""])",
         R"(model.merges[1] (dir/tokenizer.json): wanted two tokens, found an empty string)"},
        {"/model/merges/1", "{}", R"(model.merges[1] (dir/tokenizer.json): wanted two tokens, found an empty object)"},
        {"/model/merges/1", R"("b x")",
         R"(model.merges[1] (dir/tokenizer.json): wanted tokens of the vocabulary, found "x")"},
        {"/model/merges/1", R"("b a")",
         R"(model.merges[1] (dir/tokenizer.json): wanted tokens of the vocabulary, found "ba")"},
        {"/model/merges/1", R"("a b")",
         R"(model.merges[1] (dir/tokenizer.json): wanted each merge once, found "a" "b" again)"},
        {"/added_tokens", "{}",
         R"(tokenizer added_tokens (dir/tokenizer.json): wanted an array, found an empty object)"},
        {"/added_tokens/0", "1",
         R"(tokenizer added_tokens[0].id (dir/tokenizer.json): wanted an integer from 0 to 4194303, found null)"},
        {"/added_tokens/0/id", "-5",
         R"(tokenizer added_tokens[0].id (dir/tokenizer.json): wanted an integer from 0 to 4194303, found -5)"},
        {"/added_tokens/0/id", "4194304", R"(wanted an integer from 0 to 4194303, found 4194304)"},
        {"/added_tokens/0/id", "2",
         R"(added_tokens[0] "<x>" (dir/tokenizer.json): wanted an id of its own, found 2, the id of "ab")"},
        {"/added_tokens/0/content", R"("ab")", R"(added_tokens[0] "ab" (dir/tokenizer.json): wanted id 2, found 5)"},
        {"/added_tokens/0/content", R"("")",
         R"(added_tokens[0].content (dir/tokenizer.json): wanted a text, found "")"},
        {"/added_tokens/0/content", "[]",
         R"(added_tokens[0].content (dir/tokenizer.json): wanted a text, found an empty array)"},
        {"/added_tokens/0/special", R"("yes")",
         R"(added_tokens[0].special (dir/tokenizer.json): wanted true or false, found "yes")"},
        {"/added_tokens/0/lstrip", "true", R"(added_tokens[0].lstrip (dir/tokenizer.json): wanted false, found true)"},
        {"/added_tokens/0/rstrip", "true", R"(added_tokens[0].rstrip (dir/tokenizer.json): wanted false, found true)"},
        {"/added_tokens/0/single_word", "true", R"(single_word (dir/tokenizer.json): wanted false, found true)"},
        {"/added_tokens/1", R"({"id":5,"content":"<x>"})",
         R"(added_tokens[1] "<x>" (dir/tokenizer.json): wanted each token once, found it twice)"},
    };
    for (const Case& c : cases) {
        json file = small();
        file[json::json_pointer(c.pointer)] = json::parse(c.value);
        const std::string message = refusal(file.dump());
        EXPECT_NE(message.find(c.message), std::string::npos) << c.pointer << " " << c.value << ": " << message;
    }
}

TEST(TokenizerRefusals, KeysMayNotRepeat) {
    const std::string file = small().dump();
    const auto with = [&](const std::string& old, const std::string& now) {
        std::string changed = file;
        changed.replace(changed.find(old), old.size(), now);
        return refusal(changed);
    };
    EXPECT_EQ(with(R"("b":1)", R"("b":1,"a":4)"),
              R"(tokenizer model.vocab (dir/tokenizer.json): wanted each token once, found "a" twice)");
    EXPECT_EQ(with(R"("vocab":)", R"("vocab":{},"vocab":)"),
              R"(tokenizer contents (dir/tokenizer.json): wanted each key once, found "vocab" twice)");
    EXPECT_EQ(with(R"("vocab":)", R"("vocab":3,"vocab":)"),
              R"(tokenizer contents (dir/tokenizer.json): wanted each key once, found "vocab" twice)");
    EXPECT_EQ(with(R"("model":)", R"("model":null,"model":)"),
              R"(tokenizer contents (dir/tokenizer.json): wanted each key once, found "model" twice)");
    EXPECT_EQ(with(R"("id":)", R"("id":1,"id":)"),
              R"(tokenizer contents (dir/tokenizer.json): wanted each key once, found "id" twice)");
    EXPECT_EQ(with(R"("merges":)", R"("merges":[],"merges":)"),
              R"(tokenizer contents (dir/tokenizer.json): wanted each key once, found "merges" twice)");
}

TEST(TokenizerRefusals, BrokenJson) {
    EXPECT_EQ(refusal(""), "tokenizer contents (dir/tokenizer.json): wanted JSON, found something else at byte 1");
    EXPECT_NE(refusal("{\"model\": \"\xFF\"}"), "");
    EXPECT_NE(refusal(small().dump() + "}"), "");
    EXPECT_NE(refusal(small().dump() + std::string("\0x", 2)).find("found a NUL at byte"), std::string::npos);
    EXPECT_NE(refusal(std::string(1000000, '[')).find("wanted at most 32 levels, found more"), std::string::npos);
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += "{\"model\":";
    EXPECT_NE(refusal(deep), "");
}

TEST(TokenizerRefusals, Config) {
    const std::string file = small().dump();
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"{", "JSON (dir/tokenizer_config.json): wanted JSON, found something else at byte 2"},
        {R"({"bos_token":"<x>","bos_token":"<x>"})",
         R"(JSON (dir/tokenizer_config.json): wanted each key once, found twice: "bos_token")"},
        {std::string("{}\0", 3), "JSON (dir/tokenizer_config.json): wanted JSON, found a NUL at byte 3"},
        {"[]", "tokenizer contents (dir/tokenizer_config.json): wanted an object, found an empty array"},
        {R"({"add_bos_token": 1})",
         "tokenizer add_bos_token (dir/tokenizer_config.json): wanted true or false, found 1"},
        {R"({"add_bos_token": true})",
         "tokenizer bos_token (dir/tokenizer_config.json): wanted one to add, found none"},
        {R"({"add_eos_token": true})", "tokenizer add_eos_token (dir/tokenizer_config.json): wanted false, found true"},
        {R"({"bos_token": 0})", "tokenizer bos_token (dir/tokenizer_config.json): wanted a token's text, found 0"},
        {R"({"eos_token": {"text": "<x>"}})",
         "tokenizer eos_token.content (dir/tokenizer_config.json): wanted a token's text, found null"},
        {R"({"bos_token": "<y>"})",
         R"(tokenizer bos_token (dir/tokenizer_config.json): wanted a token of tokenizer.json, found "<y>")"},
    };
    for (const auto& [config, message] : cases) EXPECT_EQ(refusal(file, config), message);
    EXPECT_NE(refusal(file, std::string(1000000, '[')), "");
}

TEST(TokenizerRefusals, FilesThatAreNotThere) {
    const auto dir = std::filesystem::path(testing::TempDir()) / "vks_tokenizer_refusals";
    std::filesystem::remove_all(dir);
    const auto absent = Tokenizer::load(dir);
    ASSERT_FALSE(absent);
    EXPECT_NE(absent.error().text.find((dir / "tokenizer.json").string()), std::string::npos);

    std::filesystem::create_directories(dir / "tokenizer.json");
    EXPECT_FALSE(Tokenizer::load(dir));
    std::filesystem::remove(dir / "tokenizer.json");
    std::ofstream(dir / "tokenizer.json") << small().dump();
    EXPECT_TRUE(Tokenizer::load(dir));
    std::ofstream(dir / "tokenizer_config.json") << R"({"bos_token": "<x>", "add_bos_token": true})";
    const auto loaded = Tokenizer::load(dir);
    ASSERT_TRUE(loaded) << loaded.error().text;
    EXPECT_EQ(loaded->bos_id(), 5);
    std::ofstream(dir / "tokenizer_config.json") << "x";
    EXPECT_FALSE(Tokenizer::load(dir));
    std::ofstream(dir / "tokenizer_config.json") << "";  // empties it
    EXPECT_FALSE(Tokenizer::load(dir));
    std::filesystem::remove(dir / "tokenizer_config.json");
    std::filesystem::create_symlink("nowhere", dir / "tokenizer_config.json");
    EXPECT_FALSE(Tokenizer::load(dir));
    std::filesystem::remove_all(dir);
}

// Whatever the damage, loading ends with a tokenizer that works or with an error; the sanitizers watch.
TEST(TokenizerRefusals, DamagedFilesNeverCrash) {
    const std::string file = small().dump();
    std::mt19937 random(11);
    size_t loaded = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string damaged = file;
        for (size_t n = random() % 3 + 1; n > 0; --n) {
            const size_t at = random() % damaged.size();
            switch (random() % 4) {
                case 0:
                    damaged[at] = static_cast<char>(random());
                    break;
                case 1:
                    damaged.erase(at, random() % 20);
                    break;
                case 2:
                    damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 30));
                    break;
                default:
                    damaged[at] = "\"{}[],:0123456789ab\\"[random() % 20];
                    break;
            }
        }
        const auto t = Tokenizer::parse(damaged, "", "dir");
        if (!t) continue;
        ++loaded;
        const auto ids = t->encode("abba<x>ab 1 aaab");
        if (ids) t->decode(*ids, true);
    }
    EXPECT_GT(loaded, 100u);
}

}  // namespace
}  // namespace vks
