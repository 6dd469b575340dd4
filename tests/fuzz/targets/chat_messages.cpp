// A conversation, as JSON, through the released chat template. The other forms of JSON input go through the same parser
// as files do, which the input is given to as well.
#include <nlohmann/json.hpp>

#include "frontend/io/json.h"
#include "frontend/text/chat.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {
namespace {

const ChatTemplate& released() {
    static const ChatTemplate chat = [] {
        const std::string path = VKS_TEST_DATA "/tokenizer/deepseek_v3_tokenizer_config.json";
        const auto config = parse_json(contents_of(path), path);
        CHECK(config, "no template: {}", config.error().text);
        auto parsed = ChatTemplate::parse((*config)["chat_template"].get<std::string>(), "<BOS>", "<EOS>", path);
        CHECK(parsed, "no template: {}", parsed.error().text);
        return *std::move(parsed);
    }();
    return chat;
}

}  // namespace

void run_input(std::string_view input) {
    const auto value = parse_json(input, "file");
    if (const auto* found = accepted(value)) CHECK(!describe(*found).empty(), "nothing to call it");
    const auto document = parse_chat_document(input, "file");
    const auto* found = accepted(document);
    if (found == nullptr) return;
    const auto prompt = released().render(*found);
    if (const auto* text = accepted(prompt)) check_utf8(*text);
}

}  // namespace vks::fuzz
