// A chat template from a hostile checkpoint, rendered with an ordinary conversation: it ends, within the limits.
#include <nlohmann/json.hpp>

#include "frontend/text/chat.h"
#include "tests/fuzz/fuzz.h"

namespace vks::fuzz {

void run_input(std::string_view input) {
    static const auto document = nlohmann::ordered_json::parse(R"({
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "H\u00e9llo  x"},
                     {"role": "assistant", "content": null, "tool_calls": [
                         {"type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
                     {"role": "tool", "content": "2.5"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": [1, -2.5e300, true, null]}}}],
        "add_generation_prompt": true})");
    const auto parsed = ChatTemplate::parse(std::string(input), "<s>", std::nullopt, "file");
    const auto* chat = accepted(parsed);
    if (chat == nullptr) return;
    const auto prompt = chat->render(document);
    if (const auto* text = accepted(prompt)) {
        check_utf8(*text);
        CHECK(text->size() <= size_t{64} << 20, "{} bytes", text->size());
    }
}

}  // namespace vks::fuzz
