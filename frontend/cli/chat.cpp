// vkseek chat: a conversation on the terminal. The cache keeps what was said: only what is new runs.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/line_reader.h"
#include "frontend/cli/placement.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"
#include "frontend/text/chat.h"
#include "frontend/text/utf8.h"

namespace vks {
namespace {

constexpr int64_t kDefaultContext = 4096;
constexpr const char* kHelp =
    "/backend LIST     go on with other backends\n"
    "/op NAME=BACKEND  go on with one operator elsewhere\n"
    "/reload PLUGIN    load a plugin's library anew and go on with it\n"
    "/stats            speed and memory so far\n"
    "/reset            begin a new conversation\n"
    "/help             this list\n"
    "/quit             end (also Ctrl-D); Ctrl-C stops an answer\n";

struct ChatArgs {
    CommonOptions common;
    SamplingArgs sampling;
    MtpArgs mtp;
    std::optional<std::string> system;
    std::optional<int64_t> tokens, context, chunk;
};

// The conversation so far and what answers it.
class Conversation {
public:
    Conversation(Runtime& runtime, ChatTemplate chat, GenerateOptions options, SpeculationOptions speculation,
                 std::optional<std::string> system)
        : runtime_(runtime),
          chat_(std::move(chat)),
          options_(std::move(options)),
          system_(std::move(system)),
          generator_(runtime.engine(), runtime.tokenizer(), std::move(speculation)) {
        reset();
    }

    void reset() {
        messages_ = nlohmann::ordered_json::array();
        if (system_) messages_.push_back({{"role", "system"}, {"content", *system_}});
        generator_.reset();
    }

    // Answers `line` on stdout. What doesn't fit in the context is said on stderr and not kept.
    Status turn(const std::string& line, const InterruptFlag& interrupt) {
        messages_.push_back({{"role", "user"}, {"content", line}});
        VKS_ASSIGN(const std::string text, chat_.render({{"messages", messages_}, {"add_generation_prompt", true}}));
        VKS_ASSIGN(const std::vector<int32_t> ids, runtime_.tokenizer()->encode(text));
        const int64_t context = runtime_.engine().context();
        if (static_cast<int64_t>(ids.size()) >= context) {
            messages_.erase(messages_.size() - 1);
            write_stderr(
                fmt::format("the conversation has {} tokens, the context {} (-c): try /reset\n", ids.size(), context));
            return {};
        }
        Progress progress("prompt");
        GenerateHooks hooks;
        hooks.interrupted = &interrupt.flag();
        hooks.prefilled = [&](int64_t done, int64_t total) {
            progress.update(done, total);
            if (done == total) progress.clear();
        };
        hooks.text = [](std::string_view piece) { return write_answer(piece); };
        VKS_ASSIGN(last_, generator_.run(ids, options_, hooks));
        VKS_TRY(write_stdout("\n"));
        write_stderr(swaps_text(last_.swaps));
        runtime_.print_warnings();
        if (last_.finish == Finish::kContext)
            write_stderr(fmt::format("the context of {} tokens is full (-c)\n", context));
        messages_.push_back({{"role", "assistant"}, {"content", last_.text}});
        return {};
    }

    // What was said stays in the cache.
    Status change(const std::string& command, const std::string& argument) {
        VKS_ASSIGN(const Change change, parse_change(command, argument));
        VKS_ASSIGN(const SwapEvent event, generator_.change(change));
        write_stderr(swap_text(event) + "\n");
        runtime_.print_warnings();
        return {};
    }

    std::string statistics() const { return phases_text(last_) + runtime_.memory_line() + runtime_.placement_line(); }

private:
    Runtime& runtime_;
    ChatTemplate chat_;
    GenerateOptions options_;
    std::optional<std::string> system_;
    Generator generator_;
    nlohmann::ordered_json messages_;
    Generation last_;
};

std::string not_utf8(std::string_view name, std::string_view text, size_t at) {
    return fmt::format("{}: wanted UTF-8, found byte 0x{:02x} at offset {}", name, static_cast<uint8_t>(text[at]), at);
}

// False: the conversation is over.
bool command(const std::string& line, Conversation& conversation) {
    if (line == "/quit") return false;
    const size_t space = std::min(line.find(' '), line.size());
    const std::string name = line.substr(0, space);
    if (name == "/backend" || name == "/op" || name == "/reload") {
        const Status changed = conversation.change(name, line.substr(std::min(space + 1, line.size())));
        if (!changed) write_stderr(one_line(changed.error().text) + "\n");
    } else if (line == "/stats") {
        write_stderr(conversation.statistics());
    } else if (line == "/reset") {
        conversation.reset();
    } else if (line == "/help") {
        write_stderr(kHelp);
    } else {
        write_stderr(fmt::format("unknown command {}; /help lists them\n", quote(one_line(line), 40)));
    }
    return true;
}

Status converse(Conversation& conversation) {
    InterruptFlag interrupt;
    LineReader reader(interrupt);
    for (;;) {
        VKS_ASSIGN(const std::optional<std::string> line, reader.next("> "));
        if (!line) return {};
        if (line->empty()) continue;
        if (line->front() == '/') {
            if (!command(*line, conversation)) return {};
        } else if (const auto at = find_invalid_utf8(*line)) {
            write_stderr(not_utf8("line (stdin)", *line, *at) + "\n");
        } else {
            VKS_TRY(conversation.turn(*line, interrupt));
        }
    }
}

Status run_chat(const ChatArgs& args) {
    if (const auto at = args.system ? find_invalid_utf8(*args.system) : std::nullopt)
        return bad_input("{}", not_utf8("system message (--system)", *args.system, *at));
    VKS_ASSIGN(const auto runtime, Runtime::open(args.common, TokenizerUse::kRequired));
    auto chat = ChatTemplate::load(runtime->checkpoint()->dir());
    if (!chat) {
        return Error{chat.error().code, chat.error().text + "; vkseek generate continues a text without one"};
    }
    const int64_t most = runtime->config().max_position_embeddings;
    const int64_t context = args.context.value_or(std::min(most, kDefaultContext));
    if (context > most) {
        return bad_input("context (-c): wanted at most {}, the model's max_position_embeddings, found {}", most,
                         context);
    }
    EngineOptions engine = engine_options(args.common);
    engine.context = context;
    engine.chunk = args.chunk.value_or(engine.chunk);
    bool row_bits = args.mtp.by_default(engine);
    if (row_bits) {
        VKS_ASSIGN(row_bits, runtime->row_bits(engine, kMostAutoDrafts + 1));
    }
    VKS_ASSIGN(SpeculationOptions speculation, speculation_options(args.mtp, *runtime->checkpoint(), row_bits, engine));
    VKS_TRY(runtime->start(engine));
    runtime->print_warnings();

    GenerateOptions options;
    options.sampling = sampling_options(args.sampling, runtime->checkpoint()->generation());
    options.max_tokens = args.tokens.value_or(-1);
    options.eos_ids = runtime->eos_ids();
    Conversation conversation(*runtime, *std::move(chat), options, std::move(speculation), args.system);
    VKS_TRY(converse(conversation));
    return runtime->finish();
}

}  // namespace

void add_chat(CLI::App& program, Action& action) {
    const auto args = std::make_shared<ChatArgs>();
    CLI::App& app = add_command<ChatArgs>(program, action, "chat", "Talk with a model", args, run_chat);
    add_footer(app, std::string("While it runs:\n") + kHelp);
    add_text(app, "--system", "TEXT", "System message to begin with", args->system);
    add_integer(app, "-n,--predict", "Tokens of an answer, at most; -1: until the context is full, the default",
                args->tokens, -1, INT32_MAX);
    add_integer(app, "-c,--ctx-size", "Context: the most tokens of the conversation. Default 4096", args->context, 1,
                INT32_MAX);
    add_sampling_options(app, args->sampling);
    add_mtp_options(app, args->mtp);
    add_prefill_option(app, args->common.placement);
    add_integer(app, "--chunk", "Chunk: tokens of the prompt in one step. Default 512", args->chunk, 1, 65536);
    add_running_options(app, args->common);
}

}  // namespace vks
