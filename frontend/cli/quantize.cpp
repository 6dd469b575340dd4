// vkseek quantize: a bf16 checkpoint in, the same in FP8 as released out.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/options.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"
#include "frontend/io/quantize.h"

namespace vks {
namespace {

struct QuantizeArgs {
    CommonOptions common;
    std::string in, out;
    std::optional<uint64_t> shard_bytes;
    std::optional<int64_t> threads;
    bool json = false;
};

nlohmann::ordered_json summary_json(const QuantizeSummary& summary) {
    return {{"tensors", summary.tensors},
            {"quantized", summary.quantized},
            {"parameters", summary.parameters},
            {"bytes_in", summary.bytes_in},
            {"bytes_out", summary.bytes_out},
            {"shards", summary.shards},
            {"relative_error", summary.relative_error}};
}

Status run_quantize(const QuantizeArgs& args) {
    if (args.in.empty()) return usage_error("model", "vkseek quantize --help", "IN and OUT", "neither");
    if (args.out.empty()) return usage_error("output", "vkseek quantize --help", "IN and OUT", "only IN");
    const InterruptFlag interrupt(Interrupts::kAll);
    Progress progress("MB");
    QuantizeOptions options;
    options.in = args.in;
    options.out = args.out;
    options.max_shard_bytes = args.shard_bytes.value_or(options.max_shard_bytes);
    options.threads = static_cast<unsigned>(args.threads.value_or(0));
    options.interrupted = &interrupt.flag();
    options.progress = [&](uint64_t done, uint64_t total) {
        progress.update(static_cast<int64_t>(done / 1000000), static_cast<int64_t>(total / 1000000));
    };
    VKS_ASSIGN(const QuantizeSummary summary, quantize(options));
    progress.clear();
    if (args.json) return write_json(summary_json(summary));
    write_stderr(fmt::format("{}: {} of {} tensors quantised, {} -> {}, relative error {:.4f}\n", args.out,
                             summary.quantized, summary.tensors, human_bytes(summary.bytes_in),
                             human_bytes(summary.bytes_out), summary.relative_error));
    return {};
}

}  // namespace

void add_quantize(CLI::App& program, Action& action) {
    const auto args = std::make_shared<QuantizeArgs>();
    CLI::App& app = add_command<QuantizeArgs>(program, action, "quantize",
                                              "Write a bf16 model again in FP8, as released", args, run_quantize);
    add_argument(app, "IN", "", "Model: a Hugging Face directory in bf16, f16 or f32", args->in);
    add_argument(app, "OUT", "", "Output: the directory to make", args->out);
    add_value(app, "--shard-size", "SIZE", "Most bytes of tensors a file, e.g. 500M or 2G. Default 4.26G",
              [args](const std::string& text) -> Status {
                  VKS_ASSIGN(args->shard_bytes, parse_size(text, "--shard-size"));
                  return {};
              });
    add_integer(app, "--threads", "Threads, at most one a file. Default: the processors there are", args->threads, 1,
                4096);
    add_flag(app, "--json", "Print one JSON document", args->json);
    add_verbose_option(app, args->common);
}

}  // namespace vks
