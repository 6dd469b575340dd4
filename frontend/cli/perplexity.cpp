// vkseek perplexity: how well the model predicts a text, and how often its first MTP module would have drafted right.
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/input.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"

namespace vks {
namespace {

constexpr int64_t kDefaultWindow = 512;

struct PerplexityArgs {
    CommonOptions common;
    std::filesystem::path file;
    std::optional<int64_t> window, chunk;
    bool mtp = false, json = false;
};

struct Score {
    int64_t tokens = 0;  // predicted
    double nll = 0;      // summed, natural logarithm
    // The MTP module is given the model's own choice at every position, as when drafting. Counted are positions whose
    // choice was the text's next token (after any other, the model itself is asked something else), and of those how
    // often the module chose for the token after it what the model chose there.
    int64_t mtp_positions = 0, mtp_agreed = 0;
};

double negative_log_likelihood(std::span<const float> logits, int32_t target) {
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
    return largest + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(target)]);
}

// `ids`: the window's inputs and one more, the last target.
Status score_window(Engine& engine, std::span<const int32_t> ids, Score& score) {
    const size_t window = ids.size() - 1, vocab = static_cast<size_t>(engine.config().vocab_size);
    std::vector<int32_t> choice, draft;
    for (size_t at = 0; at < window;) {
        const size_t count = std::min(static_cast<size_t>(engine.options().chunk), window - at);
        VKS_TRY(engine.step(ids.subspan(at, count), static_cast<int64_t>(at)));
        VKS_ASSIGN(const std::vector<float> logits, engine.logits());
        for (size_t i = 0; i < count; ++i) {
            const std::span<const float> row(&logits[i * vocab], vocab);
            VKS_TRY(refuse_nan(row, score.tokens + static_cast<int64_t>(at + i)));
            score.nll += negative_log_likelihood(row, ids[at + i + 1]);
            choice.push_back(argmax(row));
        }
        if (engine.options().mtp > 0) {
            VKS_TRY(engine.mtp_step(1, std::span(choice).subspan(at, count)));
            VKS_ASSIGN(const std::vector<float> drafts, engine.mtp_logits(1));
            for (size_t i = 0; i < count; ++i) draft.push_back(argmax({&drafts[i * vocab], vocab}));
        }
        at += count;
    }
    score.tokens += static_cast<int64_t>(window);
    for (size_t i = 0; i + 1 < draft.size(); ++i) {
        if (choice[i] != ids[i + 1]) continue;
        ++score.mtp_positions;
        score.mtp_agreed += draft[i] == choice[i + 1];
    }
    return {};
}

// The text's ids with a BOS in front, if the model has one at all.
Result<std::vector<int32_t>> text_ids(const PerplexityArgs& args, const Runtime& runtime) {
    VKS_ASSIGN(const std::string text, read_text(args.file, "-f", kMaxInput));
    VKS_ASSIGN(std::vector<int32_t> ids,
               runtime.tokenizer()->encode(text, true, fmt::format("text (-f {})", args.file.string())));
    std::optional<int32_t> bos = runtime.tokenizer()->bos_id();
    if (!bos) bos = runtime.config().bos_token_id;
    if (bos) ids.insert(ids.begin(), *bos);
    VKS_TRY(check_ids(ids, runtime.config().vocab_size, "ids (tokenizer.json)"));
    return ids;
}

Status report(const PerplexityArgs& args, const Score& score) {
    const double nll = score.nll / static_cast<double>(score.tokens);
    const double agreement =
        score.mtp_positions > 0 ? static_cast<double>(score.mtp_agreed) / static_cast<double>(score.mtp_positions) : 0;
    if (args.json) {
        nlohmann::ordered_json json = {{"tokens", score.tokens}, {"nll", nll}, {"ppl", std::exp(nll)}};
        if (args.mtp) json.update({{"mtp_agreement", agreement}, {"mtp_positions", score.mtp_positions}});
        return write_json(json);
    }
    std::string text = fmt::format("{} tokens, mean negative log-likelihood {:.6f}, perplexity {:.4f}\n", score.tokens,
                                   nll, std::exp(nll));
    if (args.mtp) {
        text += fmt::format("MTP module 1 agrees in {:.2f} % of {} positions\n", 100 * agreement, score.mtp_positions);
    }
    return write_stdout(text);
}

Status run_perplexity(const PerplexityArgs& args) {
    if (args.file.empty()) return usage_error("text", "-f", "a file", "none");
    VKS_ASSIGN(const auto runtime, Runtime::open(args.common, TokenizerUse::kRequired));
    const ModelConfig& config = runtime->config();
    const int64_t window = args.window.value_or(std::min(kDefaultWindow, config.max_position_embeddings));
    if (window > config.max_position_embeddings) {
        return bad_input("window (-c): wanted at most {}, the model's max_position_embeddings, found {}",
                         config.max_position_embeddings, window);
    }
    if (args.mtp && config.num_nextn_predict_layers == 0) {
        return bad_input("MTP (--mtp): wanted a model with MTP modules, found none in {}",
                         runtime->checkpoint()->dir().string());
    }
    VKS_ASSIGN(const std::vector<int32_t> ids, text_ids(args, *runtime));
    const int64_t windows = (static_cast<int64_t>(ids.size()) - 1) / window;
    if (windows <= 0) {
        return bad_input("text ({}): wanted at least {} tokens for one window (-c), found {}", args.file.string(),
                         window + 1, ids.size());
    }

    EngineOptions engine = engine_options(args.common);
    engine.context = window;
    engine.chunk = args.chunk.value_or(engine.chunk);
    engine.all_rows = true;
    engine.mtp = args.mtp ? 1 : 0;
    VKS_TRY(runtime->start(engine));
    Score score;
    Progress progress("windows");
    for (int64_t w = 0; w < windows; ++w) {
        const auto first = static_cast<size_t>(w * window);
        VKS_TRY(score_window(runtime->engine(), std::span(ids).subspan(first, static_cast<size_t>(window) + 1), score));
        progress.update(w + 1, windows);
    }
    progress.clear();
    VKS_TRY(runtime->finish());
    VKS_TRY(report(args, score));
    runtime->print_warnings();
    return {};
}

}  // namespace

void add_perplexity(CLI::App& program, Action& action) {
    const auto args = std::make_shared<PerplexityArgs>();
    CLI::App& app = add_command<PerplexityArgs>(program, action, "perplexity", "Measure how well a text is predicted",
                                                args, run_perplexity);
    add_path(app, "-f,--file", "Text: the file to predict; -: standard input", args->file);
    add_integer(app, "-c,--ctx-size", "Window: inputs that share a context, each window starting anew. Default 512",
                args->window, 1, INT32_MAX);
    add_flag(app, "--mtp", "Also how often MTP module 1 and the model choose the same token", args->mtp);
    add_integer(app, "--chunk", "Chunk: tokens in one step. Default 512", args->chunk, 1, 65536);
    add_flag(app, "--json", "Print one JSON document", args->json);
    add_running_options(app, args->common);
}

}  // namespace vks
