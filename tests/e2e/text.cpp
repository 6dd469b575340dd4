// tokenize, detokenize and render through the program, on the goldens of both tokenizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace vks::test {
namespace {

using Json = nlohmann::ordered_json;

Json cases(const char* file) {
    return Json::parse(read_bytes(test::data("tokenizer") / file), nullptr, false);
}

Ran run(const std::vector<std::string>& arguments, const std::string& input) {
    RunOptions options;
    options.input = input;
    return run_program(arguments, options);
}

// One line of output for each of input, as JSON.
std::vector<Json> lines_of(std::vector<std::string> arguments, const std::vector<Json>& input) {
    std::string text;
    for (const Json& line : input) text += line.dump(-1, ' ', true) + "\n";
    arguments.push_back("--jsonl");
    const Ran ran = run(arguments, text);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    std::vector<Json> lines;
    for (size_t at = 0; at < ran.out.size();) {
        const size_t end = ran.out.find('\n', at);
        lines.push_back(Json::parse(ran.out.substr(at, end - at), nullptr, false));
        at = end + 1;
    }
    EXPECT_EQ(lines.size(), input.size());
    lines.resize(input.size());
    return lines;
}

struct TokenizerCase {
    const char* name;
    const char* cases;
    bool real;
};

class Text : public testing::TestWithParam<TokenizerCase> {
protected:
    // A folder that holds tokenizer files only.
    std::string model() const {
        if (GetParam().real) return std::filesystem::path(VKS_REAL_TOKENIZER).parent_path();
        std::filesystem::copy_file(test::data("tokenizer/mini_tokenizer.json"), dir_ / "tokenizer.json",
                                   std::filesystem::copy_options::overwrite_existing);
        return dir_.path();
    }
    TempDir dir_;
};

TEST_P(Text, EncodesAndDecodesTheGoldens) {
    const Json golden = cases(GetParam().cases);
    std::vector<Json> texts, ids;
    for (const Json& c : golden["encode"]) {
        texts.push_back(c["text"]);
        ids.push_back(c["ids"]);
    }
    const std::string dir = model();
    EXPECT_GT(texts.size(), 100U);
    const auto encoded = lines_of({"tokenize", "-m", dir}, texts);
    const auto decoded = lines_of({"detokenize", "-m", dir}, ids);
    const auto skipped = lines_of({"detokenize", "-m", dir, "--skip-special"}, ids);
    for (size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(encoded[i], ids[i]) << texts[i];
        EXPECT_EQ(decoded[i], golden["encode"][i]["decoded"]) << texts[i];
        EXPECT_EQ(skipped[i], golden["encode"][i]["decoded_skip_special"]) << texts[i];
    }
}

TEST_P(Text, DecodesAnyIds) {
    const Json golden = cases(GetParam().cases);
    std::vector<Json> ids;
    for (const Json& c : golden["decode"]) ids.push_back(c["ids"]);
    const auto decoded = lines_of({"detokenize", "-m", model()}, ids);
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(decoded[i], golden["decode"][i]["decoded"]) << ids[i];
}

TEST_P(Text, WholeDocumentsAreTakenAsTheyAre) {
    const std::string dir = model();
    const std::string text = "Two lines,\nthe second with no end: \xe2\x82\xac \t ";
    const Ran ids = run({"tokenize", "-m", dir}, text);
    EXPECT_EQ(ids.status, 0) << ids.err;
    EXPECT_TRUE(ids.out.starts_with("[") && ids.out.ends_with("]\n")) << ids.out;
    const Ran back = run({"detokenize", "-m", dir}, ids.out);
    EXPECT_EQ(back.out, text);
    EXPECT_EQ(run({"tokenize", "-m", dir}, "").out, "[]\n");
    EXPECT_EQ(run({"detokenize", "-m", dir}, "[]").out, "");
    EXPECT_EQ(run({"detokenize", "-m", dir}, "[99999999, -1]").out, "");
}

INSTANTIATE_TEST_SUITE_P(All, Text,
                         testing::Values(TokenizerCase{"mini", "mini_cases.json", false},
                                         TokenizerCase{"released", "real_cases.json", true}),
                         [](const auto& info) { return info.param.name; });

std::string released() {
    return std::filesystem::path(VKS_REAL_TOKENIZER).parent_path();
}

TEST(TextCommands, AddedTokensAreTextWithNoSpecial) {
    const std::string text = "<\xef\xbd\x9cUser\xef\xbd\x9c>";
    EXPECT_EQ(run({"tokenize", "-m", released()}, text).out, "[128803]\n");
    const Ran ran = run({"tokenize", "-m", released(), "--no-special"}, text);
    EXPECT_EQ(ran.out.find("128803"), std::string::npos);
    EXPECT_EQ(run({"detokenize", "-m", released()}, ran.out).out, text);
}

TEST(Render, GivesTheGoldenPromptsAndIds) {
    std::vector<Json> documents, prompts, ids;
    const Json golden = cases("chat_cases.json");
    EXPECT_EQ(golden.size(), 30U);
    for (const Json& c : golden) {
        Json document = {{"messages", c["messages"]}, {"add_generation_prompt", c["add_generation_prompt"]}};
        if (c.contains("tools")) document["tools"] = c["tools"];
        documents.push_back(document);
        prompts.push_back(c["expected"]);
        ids.push_back(c["real_ids"]);
    }
    const auto rendered = lines_of({"render", "-m", released()}, documents);
    const auto encoded = lines_of({"tokenize", "-m", released()}, prompts);
    for (size_t i = 0; i < documents.size(); ++i) {
        EXPECT_EQ(rendered[i], prompts[i]) << documents[i];
        EXPECT_EQ(encoded[i], ids[i]) << documents[i];
        // One document, the exact text. An array is the messages of one without a generation prompt.
        const std::string text = prompts[i].get<std::string>();
        EXPECT_EQ(run({"render", "-m", released()}, documents[i].dump()).out, text);
        if (documents[i]["add_generation_prompt"] == false) {
            EXPECT_EQ(run({"render", "-m", released()}, documents[i]["messages"].dump()).out, text);
        }
    }
}

TEST(TextCommands, WrongLinesAreNamedByNumber) {
    const auto failure = [](const std::vector<std::string>& arguments, const std::string& input) {
        const Ran ran = run(arguments, input);
        EXPECT_EQ(ran.status, 3);
        EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
        return ran.err;
    };
    for (const char* line : {"not JSON", "[1]", "", "\"\\ud800\""}) {
        const std::string error =
            failure({"tokenize", "-m", released(), "--jsonl"}, "\"good\"\n" + std::string(line) + "\n");
        EXPECT_NE(error.find("stdin line 2"), std::string::npos) << error;
    }
    for (const char* line : {"\"text\"", "[1.5]", "[99999999999]", "[18446744073709551615]", "[[1]]"}) {
        const std::string error =
            failure({"detokenize", "-m", released(), "--jsonl"}, "[1]\n[2]\n" + std::string(line));
        EXPECT_NE(error.find("stdin line 3"), std::string::npos) << error;
    }
    for (const char* line : {"3", "[{\"content\": \"no role\"}]", "{\"messages\": 1}"}) {
        const std::string error = failure({"render", "-m", released(), "--jsonl"}, line);
        EXPECT_NE(error.find("stdin line 1"), std::string::npos) << error;
        EXPECT_NE(failure({"render", "-m", released()}, line).find("wanted"), std::string::npos);
    }
    EXPECT_NE(failure({"tokenize", "-m", released()}, "\xff").find("UTF-8"), std::string::npos);
    EXPECT_NE(failure({"render", "-m", released()}, "\xef\xbb\xbf[]").find("a byte order mark"), std::string::npos);
    EXPECT_NE(failure({"render", "-m", VKS_DEMO_MODEL}, "[]").find("chat_template"), std::string::npos);
}

}  // namespace
}  // namespace vks::test
