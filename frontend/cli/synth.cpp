// vkseek synth: a checkpoint in the released format, of random weights.
#include <memory>

#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/options.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"
#include "frontend/io/synth.h"
#include "frontend/model/inspect.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

struct SynthArgs {
    CommonOptions common;
    std::optional<std::string> shape;
    ShapeOverrides overrides;
    std::optional<int64_t> seed;
    std::optional<std::string> dtype;
    std::filesystem::path out, tokenizer;
    bool sparse = false;
};

Status run_synth(const SynthArgs& args) {
    if (!args.shape)
        return usage_error("shape", "--shape", fmt::format("{} or a config.json", fmt::join(shape_names(), ", ")),
                           "none");
    if (args.out.empty()) return usage_error("output", "-o", "a directory", "none");
    VKS_ASSIGN(const ModelConfig shape, named_shape(*args.shape));
    SynthOptions options;
    VKS_ASSIGN(options.config, override_shape(shape, args.overrides));
    if (args.dtype) options.config.fp8 = *args.dtype == "fp8";
    options.out = args.out;
    options.seed = static_cast<uint64_t>(args.seed.value_or(0));
    options.sparse = args.sparse;
    options.tokenizer_dir = args.tokenizer;
    const InterruptFlag interrupt(Interrupts::kAll);
    options.interrupted = &interrupt.flag();
    Progress progress("MB");
    options.progress = [&](uint64_t done, uint64_t total) {
        progress.update(static_cast<int64_t>(done / 1000000), static_cast<int64_t>(total / 1000000));
    };
    VKS_TRY(synth(options));
    progress.clear();
    const ModelStats stats = shape_stats(options.config);
    write_stderr(fmt::format("{}: {:.2f} M parameters, {}\n", args.out.string(),
                             static_cast<double>(stats.parameters + stats.mtp_parameters) / 1e6,
                             human_bytes(stats.bytes)));
    return {};
}

}  // namespace

void add_synth(CLI::App& program, Action& action) {
    constexpr int64_t kMost = 100000;
    const auto args = std::make_shared<SynthArgs>();
    CLI::App& app =
        add_command<SynthArgs>(program, action, "synth", "Write a checkpoint of random weights", args, run_synth);
    add_text(app, "--shape", "NAME|FILE", "Shape: deepseek-v3, demo and others, or a config.json", args->shape);
    add_integer(app, "--layers", "Layers: hidden layers", args->overrides.layers, 1, kMost);
    add_integer(app, "--dense", "Dense layers: so many come first", args->overrides.dense, 0, kMost);
    add_integer(app, "--experts", "Experts: routed experts a layer", args->overrides.experts, 1, kMost);
    add_integer(app, "--mtp", "MTP modules", args->overrides.mtp, 0, kMost);
    add_integer(app, "--seed", "Seed: the same seed gives the same bytes. Default 0", args->seed, 0, INT64_MAX);
    add_value(app, "--dtype", "fp8|bf16", "Weights: fp8 or bf16. Default: as the shape says",
              [args](const std::string& text) -> Status {
                  if (text != "fp8" && text != "bf16") return usage_error("weights", "--dtype", "fp8 or bf16", text);
                  args->dtype = text;
                  return {};
              });
    add_flag(app, "--sparse", "All weights zero, in files that take no room on the disk", args->sparse);
    add_path(app, "--tokenizer", "Tokenizer: a directory whose tokenizer files are copied", args->tokenizer);
    add_path(app, "-o,--output", "Output: the directory to write", args->out);
    add_verbose_option(app, args->common);
}

}  // namespace vks
