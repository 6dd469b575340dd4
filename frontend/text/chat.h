// A checkpoint's chat template: turns a conversation into the prompt text that Transformers' apply_chat_template gives.
// Neither tokenizes nor runs the model.
#pragma once
#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/base/result.h"
#include "frontend/text/template.h"

namespace vks {

// Immutable, cheap to copy except for a few short strings; const members may be called from any thread.
class ChatTemplate {
public:
    // Reads the template from `model_dir`/chat_template.jinja or, if there is no such file, from `chat_template` in
    // tokenizer_config.json, as Transformers does; the special tokens' texts are in the latter, which may be absent
    // beside the former.
    // Errors (kBadInput): unreadable files, wrong kinds of fields, no template at all, what Template::parse refuses.
    static Result<ChatTemplate> load(const std::filesystem::path& model_dir);

    // From its source. A special token that is nullopt is undefined in the template. `name` is what errors call it.
    static Result<ChatTemplate> parse(const std::string& source, std::optional<std::string> bos_token,
                                      std::optional<std::string> eos_token, std::string name);

    // Renders an array of messages, or an object {"messages", "add_generation_prompt", "tools", ...}. Each message is
    // an object with a string "role". Absent, `add_generation_prompt` is false, `tools` and `documents` are None; any
    // other member becomes a variable of the template ("thinking", say). Errors (kBadInput): a document of another
    // form, what Template::render reports.
    Result<std::string> render(const nlohmann::ordered_json& document) const;

private:
    using Tokens = std::vector<std::pair<std::string, std::string>>;  // name of the variable, text
    ChatTemplate(Template parsed, Tokens tokens) : template_(std::move(parsed)), tokens_(std::move(tokens)) {}

    Template template_;
    Tokens tokens_;
};

// Bytes of a document: ten times what the longest context takes, and a second's work.
inline constexpr size_t kMaxChatDocument = size_t{16} << 20;

// Reads the JSON text of such a document. Keeps the order of keys; of equal keys the last counts, as in Python.
// Errors (kBadInput), naming `name`: longer, not JSON, more than 100 levels deep, 4096 keys wide or 2^28 comparisons of
// keys wide in all, an integer that 64 bits do not hold.
Result<nlohmann::ordered_json> parse_chat_document(std::string_view text, std::string_view name);

}  // namespace vks
