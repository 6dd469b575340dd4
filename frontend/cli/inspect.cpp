// vkseek inspect: what a model consists of, counted without running it.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/options.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"
#include "frontend/model/inspect.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

struct InspectArgs {
    CommonOptions common;
    std::string model;  // positional
    std::optional<std::string> shape;
    bool json = false;
};

std::string architecture(const ModelConfig& c) {
    std::string text = fmt::format("{} layers ({} dense), hidden {}, {} heads, vocabulary {}", c.num_hidden_layers,
                                   std::min(c.first_k_dense_replace, c.num_hidden_layers), c.hidden_size,
                                   c.num_attention_heads, c.vocab_size);
    if (c.n_routed_experts > 0) {
        text += fmt::format("; {} experts in {} groups, {} groups and {} experts a token, {} shared",
                            c.n_routed_experts, c.n_group, c.topk_group, c.num_experts_per_tok, c.n_shared_experts);
    }
    return text + fmt::format("; {} MTP", c.num_nextn_predict_layers);
}

nlohmann::ordered_json stats_json(const ModelConfig& config, const ModelStats& stats) {
    nlohmann::ordered_json json;
    json["model_type"] = config.model_type;
    json["architecture"] = architecture(config);
    json["fp8"] = config.fp8;
    json["max_position_embeddings"] = config.max_position_embeddings;
    json["parameters"] = stats.parameters;
    json["active_parameters"] = stats.active_parameters;
    json["mtp_parameters"] = stats.mtp_parameters;
    json["bytes_total"] = stats.bytes;
    json["unused_bytes"] = stats.unused_bytes;
    for (size_t k = 0; k < kTensorKindNames.size(); ++k) {
        json["bytes_by_kind"][std::string(kTensorKindNames[k])] = stats.kinds[k].bytes;
        json["parameters_by_kind"][std::string(kTensorKindNames[k])] = stats.kinds[k].parameters;
    }
    json["kv_values_per_token"] = stats.kv_values_per_token;
    json["kv_bytes_per_token"] = stats.kv_bytes_per_token;
    json["kv_ratio_to_mha"] = stats.plain_cache_ratio;
    json["kv_ratio_to_expanded_mha"] = stats.expanded_cache_ratio;
    return json;
}

std::string stats_text(const ModelConfig& config, const ModelStats& stats) {
    std::string text = fmt::format("{}: {}\n", config.model_type, architecture(config));
    text += fmt::format("parameters   {}, {} active per token, MTP {} more\n", human_count(stats.parameters),
                        human_count(stats.active_parameters), human_count(stats.mtp_parameters));
    text += fmt::format(
        "KV cache     {} bytes per token (16 bits a value), 1/{:.1f} of plain multi-head attention, 1/{:.1f} with "
        "expanded "
        "keys\n",
        stats.kv_bytes_per_token, stats.plain_cache_ratio, stats.expanded_cache_ratio);
    text += fmt::format("context      {} tokens\n\n", config.max_position_embeddings);
    text += fmt::format("{:<16} {:>8} {:>14} {:>12}\n", "kind", "tensors", "parameters", "bytes");
    for (size_t k = 0; k < kTensorKindNames.size(); ++k) {
        const KindStats& kind = stats.kinds[k];
        if (kind.tensors == 0) continue;
        text += fmt::format("{:<16} {:>8} {:>14} {:>12}\n", kTensorKindNames[k], kind.tensors,
                            human_count(kind.parameters), human_bytes(kind.bytes));
    }
    text += fmt::format("{:<16} {:>8} {:>14} {:>12}\n", "all", "", "", human_bytes(stats.bytes));
    if (stats.unused_bytes > 0) text += fmt::format("the files hold {} besides\n", human_bytes(stats.unused_bytes));
    return text;
}

Status print(const InspectArgs& args, const ModelConfig& config, const ModelStats& stats) {
    return args.json ? write_json(stats_json(config, stats)) : write_stdout(stats_text(config, stats));
}

Status run_inspect(const InspectArgs& args) {
    if (args.shape) {
        if (!args.model.empty() || !args.common.model.empty())
            return usage_error("model", "--shape", "a shape or a model", "both");
        VKS_ASSIGN(const ModelConfig config, named_shape(*args.shape));
        return print(args, config, shape_stats(config));
    }
    VKS_ASSIGN(const std::filesystem::path dir, model_dir(args.common, args.model));
    VKS_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(dir));
    return print(args, checkpoint.config(), checkpoint_stats(checkpoint));
}

}  // namespace

void add_inspect(CLI::App& program, Action& action) {
    const auto args = std::make_shared<InspectArgs>();
    CLI::App& app =
        add_command<InspectArgs>(program, action, "inspect", "Count a model's parameters and bytes", args, run_inspect);
    add_argument(app, "MODEL", "", "Model: as -m", args->model);
    add_text(app, "--shape", "NAME|FILE", "Count a shape instead, e.g. deepseek-v3, or a config.json", args->shape);
    add_flag(app, "--json", "Print one JSON document", args->json);
    add_model_option(app, args->common);
    add_verbose_option(app, args->common);
}

}  // namespace vks
