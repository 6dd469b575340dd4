// The environment that Transformers renders a chat template in, and the checks of what is rendered.
#include "frontend/text/chat.h"

#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "backend/base/bad_input.h"
#include "frontend/io/json.h"

namespace vks {

namespace {

using Document = nlohmann::ordered_json;

constexpr uint64_t kMaxConfig = uint64_t{16} << 20;  // bytes of tokenizer_config.json and chat_template.jinja
constexpr size_t kMaxDocumentDepth = 100;            // levels of a document
constexpr size_t kMaxObjectKeys = 4096;              // of one of its objects, which are searched from front to back
constexpr size_t kMaxSearch = size_t{1} << 28;       // keys that these searches meet in all: half a second

// The variables Transformers makes of its special tokens.
constexpr std::string_view kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                            "pad_token", "cls_token", "mask_token"};

// Also where a link leads nowhere, which reading then says.
bool is_there(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::symlink_status(path, ignored).type() != std::filesystem::file_type::not_found;
}

// A special token's text; it is written as a string or as an AddedToken object.
Result<std::optional<std::string>> token_text(const nlohmann::json& config, std::string_view name,
                                              const std::string& file) {
    const auto token = config.find(name);
    if (token == config.end() || token->is_null()) return std::optional<std::string>();
    const auto content = token->is_object() ? token->find("content") : token;
    if (token->is_object() && content == token->end()) {
        return bad_input("special token ({}): wanted \"{}\" to have \"content\", found none", file, name);
    }
    if (!content->is_string()) {
        return bad_input("special token ({}): wanted \"{}\" to be a string, found {}", file, name, describe(*content));
    }
    return std::optional<std::string>(content->get<std::string>());
}

Status check_messages(const Document& messages) {
    if (!messages.is_array()) {
        return bad_input("chat document (messages): wanted an array of messages, found {}", messages.type_name());
    }
    for (size_t i = 0; i < messages.size(); ++i) {
        const Document& message = messages[i];
        if (!message.is_object()) {
            return bad_input("chat document (messages[{}]): wanted an object, found {}", i, message.type_name());
        }
        const auto role = message.find("role");
        const char* found = role == message.end() ? "none" : role->type_name();
        if (role == message.end() || !role->is_string()) {
            return bad_input("chat document (messages[{}].role): wanted a string, found {}", i, found);
        }
    }
    return {};
}

Status check_document(const Document& document) {
    if (document.is_array()) return check_messages(document);
    if (!document.is_object() || !document.contains("messages")) {
        return bad_input("chat document (messages): wanted an array of messages or an object with one, found {}",
                         document.is_object() ? "none" : document.type_name());
    }
    const auto prompt = document.find("add_generation_prompt");
    if (prompt != document.end() && !prompt->is_boolean()) {
        return bad_input("chat document (add_generation_prompt): wanted true or false, found {}", prompt->type_name());
    }
    const auto tools = document.find("tools");
    if (tools != document.end() && !tools->is_array() && !tools->is_null()) {
        return bad_input("chat document (tools): wanted an array or null, found {}", tools->type_name());
    }
    return check_messages(document["messages"]);
}

// Looks for what nlohmann's parser would take but change, or what later code would recurse into too deeply.
class Checker final : public nlohmann::json_sax<Document> {
public:
    const std::string& failure() const { return failure_; }

    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t& text) override {
        return text.find_first_of(".eE") != string_t::npos || fail("wanted 64-bit integers, found " + quote(text, 60));
    }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return fail("wanted text, found binary data"); }
    bool key(string_t&) override {
        search_ += keys_[depth_];
        if (search_ > kMaxSearch) return fail("wanted smaller objects, found too many of many keys");
        return ++keys_[depth_] <= kMaxObjectKeys ||
               fail(fmt::format("wanted at most {} keys an object, found more", kMaxObjectKeys));
    }
    bool start_object(size_t) override {
        if (!deeper()) return false;
        keys_[depth_] = 0;
        return true;
    }
    bool end_object() override { return depth_-- > 0; }
    bool start_array(size_t) override { return deeper(); }
    bool end_array() override { return depth_-- > 0; }
    bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
        return fail(fmt::format("wanted JSON, found something else at byte {}", position));
    }

private:
    bool deeper() {
        return ++depth_ <= kMaxDocumentDepth ||
               fail(fmt::format("wanted at most {} levels, found more", kMaxDocumentDepth));
    }
    bool fail(std::string text) {
        failure_ = std::move(text);
        return false;
    }

    size_t depth_ = 0;
    std::array<size_t, kMaxDocumentDepth + 1> keys_{};  // met in the object open at each depth
    size_t search_ = 0;
    std::string failure_;
};

}  // namespace

Result<ChatTemplate> ChatTemplate::load(const std::filesystem::path& model_dir) {
    const std::filesystem::path config_path = model_dir / "tokenizer_config.json";
    const std::filesystem::path template_path = model_dir / "chat_template.jinja";
    const bool beside = is_there(template_path);
    nlohmann::json config = nlohmann::json::object();
    if (!beside || is_there(config_path)) {
        VKS_ASSIGN(const std::string text, read_file(config_path, kMaxConfig));
        VKS_ASSIGN(config, parse_json(text, config_path.string()));
    }
    if (!config.is_object()) {
        return bad_input("tokenizer config ({}): wanted an object, found {}", config_path.string(), describe(config));
    }
    std::string source, name = config_path.string();
    const auto field = config.find("chat_template");
    if (beside) {
        name = template_path.string();
        VKS_ASSIGN(source, read_file(template_path, kMaxConfig));
    } else if (field != config.end() && !field->is_null()) {
        if (!field->is_string()) {
            return bad_input("chat template ({}): wanted a string, found {}", name, describe(*field));
        }
        source = field->get<std::string>();
    } else {
        return bad_input("chat template ({}): wanted \"chat_template\", or a file chat_template.jinja, found neither",
                         name);
    }
    VKS_ASSIGN(Template parsed, Template::parse(source, std::move(name)));
    Tokens tokens;
    for (std::string_view token : kTokenNames) {
        VKS_ASSIGN(auto token_value, token_text(config, token, config_path.string()));
        if (token_value) tokens.emplace_back(token, *std::move(token_value));
    }
    return ChatTemplate(std::move(parsed), std::move(tokens));
}

Result<ChatTemplate> ChatTemplate::parse(const std::string& source, std::optional<std::string> bos_token,
                                         std::optional<std::string> eos_token, std::string name) {
    VKS_ASSIGN(Template parsed, Template::parse(source, std::move(name)));
    Tokens tokens;
    if (bos_token) tokens.emplace_back("bos_token", *std::move(bos_token));
    if (eos_token) tokens.emplace_back("eos_token", *std::move(eos_token));
    return ChatTemplate(std::move(parsed), std::move(tokens));
}

Result<std::string> ChatTemplate::render(const Document& document) const {
    VKS_TRY(check_document(document));
    Document variables = {{"add_generation_prompt", false}, {"tools", nullptr}, {"documents", nullptr}};
    for (const auto& [name, text] : tokens_) variables[name] = text;
    if (document.is_array()) {
        variables["messages"] = document;
    } else {
        for (const auto& [name, value] : document.items()) variables[name] = value;
    }
    return template_.render(variables);
}

Result<Document> parse_chat_document(std::string_view text, std::string_view name) {
    if (text.size() > kMaxChatDocument) {
        return bad_input("chat document ({}): wanted at most {} bytes, found {}", name, kMaxChatDocument, text.size());
    }
    if (const auto found = not_json(text)) return bad_input("chat document ({}): wanted text, found {}", name, *found);
    Checker checker;
    if (!Document::sax_parse(text.begin(), text.end(), &checker)) {
        return bad_input("chat document ({}): {}", name, checker.failure());
    }
    return Document::parse(text.begin(), text.end(), nullptr, false);
}

}  // namespace vks
