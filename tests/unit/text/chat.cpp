// Chat templates of checkpoints: the released DeepSeek-V3 one against prompts rendered with Transformers, finding the
// template in a model's directory, and the checks of documents.
#include "frontend/text/chat.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "frontend/io/json.h"
#include "tests/support/paths.h"

namespace vks {
namespace {

using Document = nlohmann::ordered_json;

// A model's directory that goes away with the test.
class ModelDir {
public:
    ModelDir() {
        const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
        path_ = std::filesystem::temp_directory_path() / ("vks_chat_" + name + "_" + std::to_string(getpid()));
        std::filesystem::create_directories(path_);
    }
    ~ModelDir() { std::filesystem::remove_all(path_); }
    const std::filesystem::path& path() const { return path_; }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ / name, std::ios::binary) << text;
    }

private:
    std::filesystem::path path_;
};

Result<std::string> render(const std::string& source, const Document& document) {
    auto chat = ChatTemplate::parse(source, "<bos>", "<eos>", "t");
    if (!chat) return chat.error();
    return chat->render(document);
}

std::string refusal(const Document& document) {
    const auto text = render("{{ messages }}", document);
    return text ? "rendered: " + *text : text.error().text;
}

TEST(ChatTemplate, RendersTheReleasedTemplateExactly) {
    const auto config = read_file(test::data("tokenizer/deepseek_v3_tokenizer_config.json"), 1 << 20);
    ASSERT_TRUE(config) << config.error().text;
    const ModelDir dir;
    dir.write("tokenizer_config.json", *config);
    const auto chat = ChatTemplate::load(dir.path());
    ASSERT_TRUE(chat) << chat.error().text;

    const auto text = read_file(test::data("tokenizer/chat_cases.json"), 1 << 20);
    ASSERT_TRUE(text) << text.error().text;
    const auto cases = parse_chat_document(*text, "chat_cases.json");
    ASSERT_TRUE(cases) << cases.error().text;
    ASSERT_GE(cases->size(), 30u);
    for (const Document& c : *cases) {
        const Document document = {{"messages", c["messages"]}, {"add_generation_prompt", c["add_generation_prompt"]}};
        const auto prompt = chat->render(document);
        ASSERT_TRUE(prompt) << prompt.error().text;
        EXPECT_EQ(*prompt, c["expected"].get<std::string>());
        if (!c["add_generation_prompt"].get<bool>()) {
            const auto bare = chat->render(c["messages"]);
            ASSERT_TRUE(bare) << bare.error().text;
            EXPECT_EQ(*bare, c["expected"].get<std::string>());
        }
    }
}

// A turn of the kind later DeepSeek templates have: thinking, tool calls, and what they leave out of the history.
TEST(ChatTemplate, RendersThinkingAndTools) {
    const std::string source = R"~({%- if not thinking is defined -%}
  {%- set thinking = false -%}
{%- endif -%}
{%- set ns = namespace(is_first=false) -%}
{{ bos_token }}{%- if tools %}
## Tools
    {%- for tool in tools %}

{{ tool | tojson }}
    {%- endfor %}
{% endif -%}
{%- for message in messages -%}
  {%- if message['role'] == 'user' -%}{{ '<U>' + message['content'] }}
  {%- elif message['role'] == 'assistant' and message['tool_calls'] is defined and message['tool_calls'] is not none -%}
    {%- for tool in message['tool_calls'] -%}
      {%- if not ns.is_first -%}{{ '<calls>' }}{%- set ns.is_first = true -%}{%- endif -%}
      {{ '<call>' + tool['function']['name'] + '<sep>' + (tool['function']['arguments'] | tojson) }}
    {%- endfor -%}{{ eos_token }}
  {%- else -%}
    {%- set content = message['content'] -%}
    {%- if '</think>' in content -%}
      {%- set content = content.split('</think>', 1)[1] -%}
    {%- endif -%}{{ '<A>' + content + eos_token }}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<A>' }}{{ '<think>' if thinking else '</think>' }}{%- endif -%})~";
    const auto document = parse_chat_document(
        R"~({"messages": [
               {"role": "user", "content": "1 < 2?"},
               {"role": "assistant", "content": "hm</think>yes"},
               {"role": "user", "content": "wetter?"},
               {"role": "assistant", "content": null, "tool_calls": [
                   {"function": {"name": "w", "arguments": {"z": "Köln", "a": [1, 2.50, null, true]}}},
                   {"function": {"name": "v", "arguments": {}}}]}],
             "tools": [{"name": "w", "b": {"y": "<&>", "x": []}}],
             "add_generation_prompt": true, "thinking": true})~",
        "stdin");
    ASSERT_TRUE(document) << document.error().text;
    const auto prompt = render(source, *document);
    ASSERT_TRUE(prompt) << prompt.error().text;
    EXPECT_EQ(*prompt,
              "<bos>## Tools\n{\"name\": \"w\", \"b\": {\"y\": \"<&>\", \"x\": []}}"
              "<U>1 < 2?<A>yes<eos><U>wetter?<calls><call>w<sep>{\"z\": \"Köln\", \"a\": [1, 2.5, null, true]}"
              "<call>v<sep>{}<eos><A><think>");
}

TEST(ChatTemplate, GivesTheVariablesOfTransformers) {
    const Document messages = {{{"role", "user"}, {"content", "x"}}};
    EXPECT_EQ(*render("{{ add_generation_prompt }} {{ tools }} {{ documents }} {{ thinking is defined }}", messages),
              "False None None False");
    const Document object = {
        {"messages", messages}, {"add_generation_prompt", true}, {"tools", Document::array()}, {"thinking", true}};
    EXPECT_EQ(*render("{{ add_generation_prompt }} {{ tools }} {{ thinking }}", object), "True [] True");
    const auto bare = ChatTemplate::parse("{{ bos_token is defined }}{{ eos_token }}", std::nullopt, "E", "t");
    ASSERT_TRUE(bare);
    EXPECT_EQ(*bare->render(messages), "FalseE");
    EXPECT_EQ(*render("{{ messages | length }}", Document::array()), "0");
    // Parts instead of a text are whatever the template makes of them: here, what Python prints.
    const Document parts = {{{"role", "user"}, {"content", {{{"type", "text"}, {"text", "it's"}}}}}};
    EXPECT_EQ(*render("{{ messages[0].content }}", parts), "[{'type': 'text', 'text': \"it's\"}]");
    EXPECT_EQ(render("{{ 'a' + messages[0].content }}", parts).error().text,
              "chat template (t): wanted values that '+' takes, found str and list, at line 1, column 8");
}

TEST(ChatTemplate, ChecksDocuments) {
    EXPECT_EQ(refusal(1), "chat document (messages): wanted an array of messages or an object with one, found number");
    EXPECT_EQ(refusal(Document::object()),
              "chat document (messages): wanted an array of messages or an object with one, found none");
    EXPECT_EQ(refusal({{"messages", "x"}}), "chat document (messages): wanted an array of messages, found string");
    EXPECT_EQ(refusal(Document::array({1})), "chat document (messages[0]): wanted an object, found number");
    EXPECT_EQ(refusal(Document::array({Document{{"role", "user"}}, Document::object()})),
              "chat document (messages[1].role): wanted a string, found none");
    EXPECT_EQ(refusal(Document::array({Document{{"role", nullptr}}})),
              "chat document (messages[0].role): wanted a string, found null");
    EXPECT_EQ(refusal({{"messages", Document::array()}, {"add_generation_prompt", 1}}),
              "chat document (add_generation_prompt): wanted true or false, found number");
    EXPECT_EQ(refusal({{"messages", Document::array()}, {"tools", Document::object()}}),
              "chat document (tools): wanted an array or null, found object");
}

TEST(ChatTemplate, ParsesDocumentsAsPythonDoes) {
    const auto twice = parse_chat_document(R"({"b": 1, "a": 2, "b": 3})", "in");
    ASSERT_TRUE(twice);
    EXPECT_EQ(twice->dump(), R"({"b":3,"a":2})");
    auto error = [](const std::string& text) {
        const auto document = parse_chat_document(text, "in");
        return document ? "parsed" : document.error().text;
    };
    EXPECT_EQ(error("[1,]"), "chat document (in): wanted JSON, found something else at byte 4");
    EXPECT_EQ(error(""), "chat document (in): wanted JSON, found something else at byte 1");
    EXPECT_EQ(error("[] []"), "chat document (in): wanted JSON, found something else at byte 4");
    EXPECT_EQ(error("[\"\xff\"]"), "chat document (in): wanted JSON, found something else at byte 3");
    EXPECT_EQ(error(std::string("[]\0x", 4)), "chat document (in): wanted text, found a NUL at byte 3");
    EXPECT_EQ(error("[100000000000000000000]"),
              "chat document (in): wanted 64-bit integers, found \"100000000000000000000\"");
    EXPECT_EQ(error("[1e20, 0.5]"), "parsed");
    EXPECT_EQ(error(std::string(100, '[') + std::string(100, ']')), "parsed");
    EXPECT_EQ(error(std::string(100000, '[')), "chat document (in): wanted at most 100 levels, found more");
    std::string wide = "{\"k\": 0";
    for (int i = 0; i < 4096; ++i) wide += ", \"k\": 0";
    EXPECT_EQ(error(wide + "}"), "chat document (in): wanted at most 4096 keys an object, found more");
}

TEST(ChatTemplate, FindsTheTemplate) {
    const ModelDir dir;
    const std::string config = (dir.path() / "tokenizer_config.json").string();
    const Document messages = Document::array();
    EXPECT_EQ(ChatTemplate::load(dir.path()).error().text,
              "file (" + config + "): wanted a readable file, found: No such file or directory");
    dir.write("tokenizer_config.json", R"({"bos_token": "B", "eos_token": {"content": "E"}, "pad_token": null})");
    EXPECT_EQ(ChatTemplate::load(dir.path()).error().text,
              "chat template (" + config + "): wanted \"chat_template\", or a file chat_template.jinja, found neither");
    dir.write("tokenizer_config.json", R"({"chat_template": "field{{ bos_token }}"})");
    EXPECT_EQ(*ChatTemplate::load(dir.path())->render(messages), "field");
    // The file goes before the field, whatever that is, and needs no configuration.
    dir.write("chat_template.jinja", "{{ bos_token + eos_token }}{{ pad_token is defined }}\n");
    dir.write("tokenizer_config.json",
              R"({"bos_token": "B", "eos_token": {"content": "E"}, "pad_token": null, "chat_template": "field"})");
    const auto beside = ChatTemplate::load(dir.path());
    ASSERT_TRUE(beside) << beside.error().text;
    EXPECT_EQ(*beside->render(messages), "BEFalse");
    std::filesystem::remove(dir.path() / "tokenizer_config.json");
    dir.write("chat_template.jinja", "{{ bos_token is defined }}");
    const auto alone = ChatTemplate::load(dir.path());
    ASSERT_TRUE(alone) << alone.error().text;
    EXPECT_EQ(*alone->render(messages), "False");
}

TEST(ChatTemplate, ChecksTheConfig) {
    const ModelDir dir;
    const std::string config = "(" + (dir.path() / "tokenizer_config.json").string() + ")";
    auto error = [&](const std::string& text) {
        dir.write("tokenizer_config.json", text);
        const auto chat = ChatTemplate::load(dir.path());
        return chat ? "loaded" : chat.error().text;
    };
    EXPECT_EQ(error("[1]"), "tokenizer config " + config + ": wanted an object, found an array of 1");
    EXPECT_EQ(error(R"({"chat_template": [1]})"), "chat template " + config + ": wanted a string, found an array of 1");
    EXPECT_EQ(error(R"({"chat_template": "{{ x | y }}"})"),
              "chat template " + config + ": wanted a known filter, found \"y\", at line 1, column 8");
    EXPECT_EQ(error(R"({"chat_template": "", "bos_token": 1})"),
              "special token " + config + ": wanted \"bos_token\" to be a string, found 1");
    EXPECT_EQ(error(R"({"chat_template": "", "eos_token": {}})"),
              "special token " + config + ": wanted \"eos_token\" to have \"content\", found none");
    EXPECT_EQ(error(R"({"chat_template": "", "eos_token": {"content": null}})"),
              "special token " + config + ": wanted \"eos_token\" to be a string, found null");
}

}  // namespace
}  // namespace vks
