// vkseek logits: every position's logits of a prompt given as ids, and on request what led to them, as safetensors.
#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/input.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"
#include "frontend/io/json.h"
#include "frontend/io/safetensors_writer.h"

namespace vks {
namespace {

struct LogitsArgs {
    CommonOptions common;
    std::optional<std::string> ids;
    std::filesystem::path ids_file, out;
    bool trace = false, mtp = false;
    std::optional<int64_t> chunk;
};

// Rows collected from chunk to chunk: one of the two kinds.
struct Rows {
    int64_t width = 0;
    std::vector<float> floats;
    std::vector<int32_t> integers;
    DType dtype() const { return floats.empty() ? DType::kI32 : DType::kF32; }
    const void* data() const {
        return floats.empty() ? static_cast<const void*>(integers.data()) : static_cast<const void*>(floats.data());
    }
};
using Tensors = std::map<std::string, Rows>;

void append(Rows& rows, int64_t width, const std::vector<float>& values) {
    rows.width = width;
    rows.floats.insert(rows.floats.end(), values.begin(), values.end());
}

void append(Rows& rows, int64_t width, const std::vector<int32_t>& values) {
    rows.width = width;
    rows.integers.insert(rows.integers.end(), values.begin(), values.end());
}

Result<std::vector<int32_t>> read_ids_file(const std::filesystem::path& path) {
    const std::string name = fmt::format("--ids-file {}", path.string());
    VKS_ASSIGN(const std::string text, read_text(path, "--ids-file", kMaxIds));
    VKS_ASSIGN(const nlohmann::json document, parse_json(text, name));
    if (!document.is_array()) return bad_input("ids ({}): wanted an array of ids, found {}", name, describe(document));
    std::vector<int32_t> ids;
    for (const nlohmann::json& item : document) {
        if (!item.is_number_integer() || item < 0 || item > INT32_MAX) {
            return bad_input("ids ({}): wanted token ids, found {} at position {}", name, describe(item), ids.size());
        }
        ids.push_back(item.get<int32_t>());
    }
    return ids;
}

Status add_traced(Engine& engine, Tensors& tensors) {
    const ModelConfig& config = engine.config();
    for (int64_t layer = 0; layer <= config.num_hidden_layers; ++layer) {
        const std::string hidden = fmt::format("hidden.{}", layer);
        VKS_ASSIGN(const std::vector<float> stream, engine.traced<float>(hidden));
        append(tensors[hidden], config.hidden_size, stream);
        if (layer == config.num_hidden_layers || !config.is_moe(layer)) continue;
        const std::string index = fmt::format("router.{}.topk_idx", layer);
        const std::string weight = fmt::format("router.{}.topk_weight", layer);
        VKS_ASSIGN(const std::vector<int32_t> experts, engine.traced<int32_t>(index));
        append(tensors[index], config.num_experts_per_tok, experts);
        VKS_ASSIGN(const std::vector<float> weights, engine.traced<float>(weight));
        append(tensors[weight], config.num_experts_per_tok, weights);
    }
    return {};
}

// The latent caches of the main model's layers, split into their two parts.
Status add_caches(Engine& engine, int64_t tokens, Tensors& tensors) {
    const ModelConfig& config = engine.config();
    const int64_t width = config.kv_cache_width();
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
        VKS_ASSIGN(const std::vector<float> rows, engine.cache(layer, 0, tokens));
        Rows& latent = tensors[fmt::format("kv.{}.c_kv", layer)];
        Rows& rotary = tensors[fmt::format("kv.{}.k_pe", layer)];
        for (auto row = rows.begin(); row != rows.end(); row += width) {
            append(latent, config.kv_lora_rank, std::vector<float>(row, row + config.kv_lora_rank));
            append(rotary, config.qk_rope_head_dim, std::vector<float>(row + config.kv_lora_rank, row + width));
        }
    }
    return {};
}

// t[T], t[T + 1], ...: what the MTP modules at the last positions are given.
Status continue_greedily(Engine& engine, std::vector<int32_t>& ids, int modules) {
    if (modules == 0) return {};
    Generator generator(engine, nullptr);
    GenerateOptions options;
    options.max_tokens = modules;
    VKS_ASSIGN(const Generation more, generator.run(ids, options, {}));
    ids.insert(ids.end(), more.ids.begin(), more.ids.end());
    return {};
}

// `ids`: the prompt's `tokens` and, with MTP modules, the continuation.
Status collect(Engine& engine, std::span<const int32_t> ids, int64_t tokens, const LogitsArgs& args, Tensors& tensors) {
    const int64_t vocab = engine.config().vocab_size;
    Progress progress("tokens");
    for (int64_t at = 0; at < tokens;) {
        const int64_t count = std::min(engine.options().chunk, tokens - at);
        const auto chunk = [&](int64_t shift) {
            return ids.subspan(static_cast<size_t>(at + shift), static_cast<size_t>(count));
        };
        VKS_TRY(engine.step(chunk(0), at));
        VKS_ASSIGN(const std::vector<float> logits, engine.logits());
        append(tensors["logits"], vocab, logits);
        if (args.trace) VKS_TRY(add_traced(engine, tensors));
        for (int k = 1; k <= engine.options().mtp; ++k) {
            VKS_TRY(engine.mtp_step(k, chunk(k)));
            VKS_ASSIGN(const std::vector<float> drafts, engine.mtp_logits(k));
            append(tensors[fmt::format("mtp{}.logits", k)], vocab, drafts);
        }
        at += count;
        progress.update(at, tokens);
    }
    return args.trace ? add_caches(engine, tokens, tensors) : Status{};
}

Status write(const std::filesystem::path& path, const Tensors& tensors, int64_t tokens) {
    std::vector<TensorData> list;
    for (const auto& [name, rows] : tensors) {
        list.push_back({TensorInfo{name, rows.dtype(), Shape{tokens, rows.width}}, rows.data()});
    }
    return write_safetensors(path, list);
}

Status run_logits(const LogitsArgs& args) {
    if (args.ids.has_value() == !args.ids_file.empty()) {
        return usage_error("prompt", "vkseek logits --help", "one of --ids LIST and --ids-file FILE",
                           args.ids ? "both" : "neither");
    }
    if (args.out.empty()) return usage_error("output", "-o", "a file to write", "none");
    if (args.out == "-") return usage_error("output", "-o", "a file, as it is written out of order", "-");
    VKS_ASSIGN(const auto runtime, Runtime::open(args.common, TokenizerUse::kNone));
    VKS_ASSIGN(std::vector<int32_t> ids, args.ids ? parse_ids(*args.ids, "--ids") : read_ids_file(args.ids_file));
    const ModelConfig& config = runtime->config();
    const char* origin = args.ids ? "ids (--ids)" : "ids (--ids-file)";
    VKS_TRY(check_ids(ids, config.vocab_size, origin));
    const int64_t tokens = static_cast<int64_t>(ids.size());
    if (tokens == 0 || tokens > config.max_position_embeddings) {
        return bad_input("{}: wanted 1 to {} ids (max_position_embeddings), found {}", origin,
                         config.max_position_embeddings, tokens);
    }

    EngineOptions engine = engine_options(args.common);
    engine.mtp = args.mtp ? static_cast<int>(config.num_nextn_predict_layers) : 0;
    engine.context = tokens + engine.mtp;
    engine.chunk = args.chunk.value_or(engine.chunk);
    engine.all_rows = true;
    engine.trace = args.trace;
    VKS_TRY(runtime->start(engine));
    Tensors tensors;
    VKS_TRY(continue_greedily(runtime->engine(), ids, engine.mtp));
    VKS_TRY(collect(runtime->engine(), ids, tokens, args, tensors));
    VKS_TRY(runtime->finish());
    VKS_TRY(write(args.out, tensors, tokens));
    runtime->print_warnings();
    return {};
}

}  // namespace

void add_logits(CLI::App& program, Action& action) {
    const auto args = std::make_shared<LogitsArgs>();
    CLI::App& app = add_command<LogitsArgs>(program, action, "logits", "Write the logits of a prompt's positions", args,
                                            run_logits);
    add_text(app, "--ids", "1,2,3", "Prompt as token ids", args->ids);
    add_path(app, "--ids-file", "Prompt: a file with a JSON array of token ids; -: standard input", args->ids_file);
    add_path(app, "-o,--output", "Output: the safetensors file to write", args->out);
    add_flag(app, "--trace", "Also the residual stream, the router's choices and the latent cache", args->trace);
    add_flag(app, "--mtp", "Also the logits of the MTP modules", args->mtp);
    add_integer(app, "--chunk", "Chunk: tokens in one step. Default 512", args->chunk, 1, 65536);
    add_running_options(app, args->common);
}

}  // namespace vks
