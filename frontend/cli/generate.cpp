// vkseek generate: a prompt in, text out as it comes, then statistics.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "backend/base/log.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/input.h"
#include "frontend/cli/placement.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"

namespace vks {
namespace {

constexpr int64_t kDefaultTokens = 128;

struct GenerateArgs {
    CommonOptions common;
    SamplingArgs sampling;
    std::optional<std::string> prompt, ids;
    std::filesystem::path file;
    std::string input;  // "-" or nothing
    MtpArgs mtp;
    std::optional<int64_t> tokens, context, chunk;
    std::vector<std::string> stops;
    std::vector<PlannedSwap> swaps;
    bool ignore_eos = false, json = false;
};

Status check_prompt_source(const GenerateArgs& args) {
    const int given =
        int{args.prompt.has_value()} + int{args.ids.has_value()} + int{!args.file.empty()} + int{!args.input.empty()};
    const char* wanted = "exactly one of -p TEXT, -f FILE, --ids LIST and -";
    if (given != 1) {
        return usage_error("prompt", "vkseek generate --help", wanted, given == 0 ? "none" : "several");
    }
    if (!args.input.empty() && args.input != "-") {
        return usage_error("prompt", "vkseek generate --help", wanted, quote(args.input, 80));
    }
    return {};
}

Result<std::vector<int32_t>> prompt_ids(const GenerateArgs& args, const Runtime& runtime) {
    if (args.ids) return parse_ids(*args.ids, "--ids");
    if (args.prompt) return runtime.prompt_ids(*args.prompt, "-p");
    VKS_ASSIGN(const std::string text,
               args.file.empty() ? read_stdin(kMaxInput) : read_text(args.file, "-f", kMaxInput));
    return runtime.prompt_ids(text, args.file.empty() ? "stdin" : "-f " + args.file.string());
}

// Positions to make room for: what is asked for, or as many as the run can need.
Result<int64_t> context_size(const GenerateArgs& args, const ModelConfig& config, int64_t prompt, int64_t tokens) {
    const int64_t most = config.max_position_embeddings;
    const int64_t context = args.context.value_or(tokens < 0 ? most : std::min(most, prompt + tokens));
    if (context > most) {
        return bad_input("context (-c): wanted at most {}, the model's max_position_embeddings, found {}", most,
                         context);
    }
    if (prompt > context) {
        return bad_input("prompt ({}): wanted at most {} tokens, found {}",
                         args.context ? "context -c" : "the model's max_position_embeddings", context, prompt);
    }
    return context;
}

nlohmann::ordered_json phase_json(const Phase& phase) {
    return {{"tokens", phase.tokens}, {"seconds", phase.seconds}, {"tok_s", phase.rate()}};
}

nlohmann::ordered_json mtp_json(const Generation& out) {
    const SpeculationStats& mtp = out.mtp;
    return {{"k", mtp.most},
            {"adaptive", mtp.adapt},
            {"drafted", mtp.drafted},
            {"accepted", mtp.accepted},
            {"acceptance", mtp.acceptance()},
            {"tokens_per_step", out.tokens_per_step()},
            {"steps", mtp.steps},
            {"drafted_at", mtp.drafted_at},
            {"accepted_at", mtp.accepted_at},
            {"seconds",
             {{"draft", mtp.draft_seconds}, {"verify", mtp.verify_seconds}, {"rollback", mtp.rollback_seconds}}}};
}

nlohmann::ordered_json report_json(const Runtime& runtime, const std::vector<int32_t>& prompt, const Generation& out) {
    nlohmann::ordered_json json;
    json["text"] = out.text;
    json["ids"] = out.ids;
    json["prompt_ids"] = prompt;
    json["finish_reason"] = finish_name(out.finish);
    json["prefill"] = phase_json(out.prefill);
    json["decode"] = phase_json(out.decode);
    json["mtp"] = mtp_json(out);
    json["swaps"] = swaps_json(out.swaps);
    json["refused_swaps"] = refused_swaps_json(out.swaps);
    json["placement"] = runtime.placement_json();
    if (auto checks = runtime.checks_json(); !checks.is_null()) json["checks"] = std::move(checks);
    json["logits_hash"] = fmt::format("{:016x}", out.logits_hash);
    json["peak_bytes"] = runtime.peak_bytes_json();
    json["bytes"] = runtime.engine().bytes_by_device();
    json["process_peak_bytes"] = process_peak_bytes();
    json["paging"] = runtime.paging_json();
    json["slots"] = runtime.slots_json();
    json["device_stats"] = runtime.stats_json();
    return json;
}

void print_statistics(const Runtime& runtime, const Generation& out, int64_t context) {
    std::string text;
    if (out.finish == Finish::kContext) {
        text += fmt::format("the context of {} tokens is full (-c): the text ends here\n", context);
    } else if (out.finish == Finish::kInterrupted) {
        text += "interrupted\n";
    }
    for (const SwapEvent& event : out.swaps)
        if (!event.error.empty()) log_line(LogLevel::kWarning, fmt::format("{}: {}", event.reason, event.error));
    write_stderr(text + phases_text(out) + swaps_text(out.swaps) + runtime.memory_line() + runtime.paging_line() +
                 runtime.slots_line() + runtime.placement_line());
}

Status run_generate(const GenerateArgs& args) {
    VKS_TRY(check_prompt_source(args));
    VKS_ASSIGN(const auto runtime,
               Runtime::open(args.common, args.ids ? TokenizerUse::kIfThere : TokenizerUse::kRequired));
    VKS_ASSIGN(const std::vector<int32_t> prompt, prompt_ids(args, *runtime));
    VKS_TRY(check_ids(prompt, runtime->config().vocab_size, args.ids ? "ids (--ids)" : "ids (tokenizer.json)"));
    if (prompt.empty()) return bad_input("prompt: wanted at least one token, found none");
    const int64_t tokens = args.tokens.value_or(kDefaultTokens);
    VKS_ASSIGN(const int64_t context,
               context_size(args, runtime->config(), static_cast<int64_t>(prompt.size()), tokens));

    EngineOptions engine = engine_options(args.common);
    engine.context = context;
    engine.chunk = args.chunk.value_or(engine.chunk);
    const bool worth_it = tokens < 0 || tokens > DraftLength::kFirstTrial;
    bool row_bits = worth_it && args.mtp.by_default(engine);
    if (row_bits) {
        VKS_ASSIGN(row_bits, runtime->row_bits(engine, kMostAutoDrafts + 1));
    }
    VKS_ASSIGN(SpeculationOptions speculation, speculation_options(args.mtp, *runtime->checkpoint(), row_bits, engine));
    VKS_TRY(runtime->start(engine));

    GenerateOptions options;
    options.sampling = sampling_options(args.sampling, runtime->checkpoint()->generation());
    options.max_tokens = tokens;
    if (!args.ignore_eos) options.eos_ids = runtime->eos_ids();
    options.stops = args.stops;
    options.swaps = args.swaps;
    InterruptFlag interrupt;
    Progress progress("prompt");
    GenerateHooks hooks;
    hooks.interrupted = &interrupt.flag();
    hooks.prefilled = [&](int64_t done, int64_t total) {
        progress.update(done, total);
        if (done == total) progress.clear();
    };
    if (!args.json) hooks.text = [](std::string_view piece) { return write_answer(piece); };
    Generator generator(runtime->engine(), runtime->tokenizer(), std::move(speculation));
    VKS_ASSIGN(const Generation out, generator.run(prompt, options, hooks));
    progress.clear();
    VKS_TRY(runtime->finish());
    VKS_TRY(args.json ? write_json(report_json(*runtime, prompt, out)) : write_stdout("\n"));
    runtime->print_warnings();
    print_statistics(*runtime, out, context);
    return {};
}

}  // namespace

void add_generate(CLI::App& program, Action& action) {
    const auto args = std::make_shared<GenerateArgs>();
    CLI::App& app = add_command<GenerateArgs>(program, action, "generate", "Continue a text", args, run_generate);
    add_text(app, "-p,--prompt", "TEXT", "Prompt: a text; gets a BOS where the tokenizer says so", args->prompt);
    add_path(app, "-f,--file", "File that holds the prompt, taken as it is, line breaks and all; -: standard input",
             args->file);
    add_text(app, "--ids", "1,2,3", "Prompt as token ids, taken as they are", args->ids);
    add_argument(app, "input", "-", "-: the prompt comes from standard input", args->input);
    add_integer(app, "-n,--predict", "Tokens to generate; -1: until the context is full. Default 128", args->tokens, -1,
                INT32_MAX);
    add_integer(app, "-c,--ctx-size", "Context: the most tokens of prompt and text together. Default: what is needed",
                args->context, 1, INT32_MAX);
    add_sampling_options(app, args->sampling);
    add_values(app, "--stop", "TEXT", "End before this text; repeatable", [args](const std::string& text) -> Status {
        if (text.empty()) return usage_error("stop string", "--stop", "a text", "nothing");
        args->stops.push_back(text);
        return {};
    });
    add_mtp_options(app, args->mtp);
    add_prefill_option(app, args->common.placement);
    add_swap_options(app, args->swaps);
    add_flag(app, "--ignore-eos", "Go on after the end-of-text token", args->ignore_eos);
    add_integer(app, "--chunk", "Chunk: tokens of the prompt in one step. Default 512", args->chunk, 1, 65536);
    add_flag(app, "--json", "Print one JSON document instead of the text", args->json);
    add_running_options(app, args->common);
    add_footer(app,
               "Ctrl-C ends the text in order: statistics or JSON follow (finish_reason: interrupted), exit status 0.");
}

}  // namespace vks
