// vkseek tokenize, detokenize and render: the text side of a model, without the model.
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/input.h"
#include "frontend/cli/options.h"
#include "frontend/io/json.h"
#include "frontend/text/chat.h"
#include "frontend/text/tokenizer.h"

namespace vks {
namespace {

struct TextArgs {
    CommonOptions common;
    bool jsonl = false;
    bool no_special = false;    // tokenize
    bool skip_special = false;  // detokenize
};

// What standard input holds, for messages: a document, or one line of many.
std::string input_name(int64_t line) {
    return line > 0 ? fmt::format("stdin line {}", line) : "stdin";
}

std::string ids_text(const std::vector<int32_t>& ids) {
    return fmt::format("[{}]\n", fmt::join(ids, ","));
}

std::string string_text(const std::string& text) {
    return nlohmann::json(text).dump() + "\n";
}

Result<std::string> parse_string(const std::string& line, int64_t number) {
    VKS_ASSIGN(const nlohmann::json document, parse_json(line, input_name(number)));
    if (!document.is_string()) {
        return bad_input("text ({}): wanted a JSON string, found {}", input_name(number), describe(document));
    }
    return document.get<std::string>();
}

Result<std::vector<int32_t>> parse_id_array(const std::string& text, int64_t number) {
    VKS_ASSIGN(const nlohmann::json document, parse_json(text, input_name(number)));
    if (!document.is_array()) {
        return bad_input("ids ({}): wanted a JSON array, found {}", input_name(number), describe(document));
    }
    std::vector<int32_t> ids;
    for (const nlohmann::json& item : document) {
        // The library compares what is above 2^63 as if it were negative.
        const bool fits = item.is_number_unsigned() ? item.get<uint64_t>() <= INT32_MAX
                                                    : item.is_number_integer() && item >= INT32_MIN;
        if (!fits) {
            return bad_input("ids ({}): wanted token ids, found {} at position {}", input_name(number), describe(item),
                             ids.size());
        }
        ids.push_back(item.get<int32_t>());
    }
    return ids;
}

Status run_tokenize(const TextArgs& args) {
    VKS_ASSIGN(const std::filesystem::path dir, model_dir(args.common));
    VKS_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(dir));
    const auto print_ids = [&](const std::string& text, int64_t line) -> Status {
        const std::string name = fmt::format("text ({})", input_name(line));
        VKS_ASSIGN(const std::vector<int32_t> ids, tokenizer.encode(text, !args.no_special, name));
        return write_stdout(ids_text(ids));
    };
    if (!args.jsonl) {
        VKS_ASSIGN(const std::string text, read_stdin(kMaxInput));
        return print_ids(text, 0);
    }
    return for_each_line(kMaxInput, [&](const std::string& line, int64_t number) -> Status {
        VKS_ASSIGN(const std::string text, parse_string(line, number));
        return print_ids(text, number);
    });
}

Status run_detokenize(const TextArgs& args) {
    VKS_ASSIGN(const std::filesystem::path dir, model_dir(args.common));
    VKS_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(dir));
    if (!args.jsonl) {
        VKS_ASSIGN(const std::string text, read_stdin(kMaxIds));
        VKS_ASSIGN(const std::vector<int32_t> ids, parse_id_array(text, 0));
        return write_stdout(tokenizer.decode(ids, args.skip_special));
    }
    return for_each_line(kMaxIds, [&](const std::string& line, int64_t number) -> Status {
        VKS_ASSIGN(const std::vector<int32_t> ids, parse_id_array(line, number));
        return write_stdout(string_text(tokenizer.decode(ids, args.skip_special)));
    });
}

Status run_render(const TextArgs& args) {
    VKS_ASSIGN(const std::filesystem::path dir, model_dir(args.common));
    VKS_ASSIGN(const ChatTemplate chat, ChatTemplate::load(dir));
    const auto rendered = [&](const std::string& text, int64_t number) -> Result<std::string> {
        VKS_ASSIGN(const nlohmann::ordered_json document, parse_chat_document(text, input_name(number)));
        auto prompt = chat.render(document);
        if (!prompt && number > 0) {
            return bad_input("render ({}): {}", input_name(number), prompt.error().text);
        }
        return prompt;
    };
    if (!args.jsonl) {
        VKS_ASSIGN(const std::string text, read_stdin(kMaxChatDocument));
        VKS_ASSIGN(const std::string prompt, rendered(text, 0));
        return write_stdout(prompt);
    }
    return for_each_line(kMaxChatDocument, [&](const std::string& line, int64_t number) -> Status {
        VKS_ASSIGN(const std::string prompt, rendered(line, number));
        return write_stdout(string_text(prompt));
    });
}

CLI::App& add_text_command(CLI::App& program, Action& action, const char* name, const char* help, const char* jsonl,
                           const std::shared_ptr<TextArgs>& args, Status (*run)(const TextArgs&)) {
    CLI::App& app = add_command<TextArgs>(program, action, name, help, args, run);
    add_flag(app, "--jsonl", jsonl, args->jsonl);
    add_model_option(app, args->common);
    add_verbose_option(app, args->common);
    return app;
}

}  // namespace

void add_text_commands(CLI::App& program, Action& action) {
    const auto args = std::make_shared<TextArgs>();
    CLI::App& tokenize =
        add_text_command(program, action, "tokenize", "Turn a text on standard input into a JSON array of token ids",
                         "Each line of input is a JSON string, each line of output its ids", args, run_tokenize);
    add_flag(tokenize, "--no-special", "Text equal to an added token is text like any other", args->no_special);
    CLI::App& detokenize = add_text_command(
        program, action, "detokenize", "Turn a JSON array of token ids on standard input into text",
        "Each line of input is an array of ids, each line of output a JSON string", args, run_detokenize);
    add_flag(detokenize, "--skip-special", "Special tokens print nothing", args->skip_special);
    add_text_command(program, action, "render", "Turn chat messages on standard input (JSON) into the prompt's text",
                     "Each line of input is a conversation, each line of output a JSON string", args, run_render);
}

}  // namespace vks
