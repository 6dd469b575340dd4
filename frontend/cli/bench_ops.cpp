// vkseek bench ops: single operators in a model's shapes, checked, then timed.
#include <algorithm>
#include <charconv>
#include <memory>
#include <set>

#include "backend/base/bad_input.h"
#include "frontend/bench/op_bench.h"
#include "frontend/cli/bench.h"
#include "frontend/cli/bench_devices.h"
#include "frontend/cli/console.h"
#include "frontend/cli/options.h"
#include "frontend/cli/placement.h"
#include "frontend/cli/values.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

struct BenchOpsArgs {
    CommonOptions common;
    std::vector<std::string> ops;
    std::optional<std::string> shapes, variant;
    std::vector<int64_t> rows, contexts;  // empty: not given
    std::optional<int64_t> repetitions;
    std::optional<double> most_gflop, most_time;
    std::optional<uint64_t> most_memory;
    bool full = false;
    bench::Format format = bench::Format::kMarkdown;
};

Status add_op(const std::string& name, std::vector<std::string>& ops) {
    const std::vector<std::string> known = operator_names();
    if (std::find(known.begin(), known.end(), name) == known.end())
        return usage_error("operator", "--op", fmt::format("one of {}", fmt::join(known, " ")), quote(name, 80));
    ops.push_back(name);
    return {};
}

Status check_rows(const BenchOpsArgs& args) {
    const auto positive = [](const std::vector<int64_t>& list) {
        return std::all_of(list.begin(), list.end(), [](int64_t n) { return n > 0; });
    };
    if (!positive(args.rows)) return usage_error("rows", "--rows", "numbers above 0", "0");
    if (!positive(args.contexts)) return usage_error("contexts", "--contexts", "numbers above 0", "0");
    return {};
}

bench::OpBenchOptions bench_options(const BenchOpsArgs& args) {
    bench::OpBenchOptions options;
    if (!args.rows.empty()) options.rows = args.rows;
    options.list_all = !args.rows.empty() && !args.ops.empty();
    options.repetitions = args.repetitions.value_or(options.repetitions);
    if (args.full) options.most_flops = options.most_case_seconds = 0;
    if (args.most_time) options.most_case_seconds = *args.most_time;
    if (args.most_gflop) options.most_flops = *args.most_gflop * 1e9;
    if (args.most_memory) options.most_bytes = static_cast<double>(*args.most_memory);
    if (args.common.threads) options.device_options = fmt::format("threads={};", *args.common.threads);
    if (args.variant && *args.variant != "auto") {
        options.device_options += "variant=" + *args.variant;
        options.variant = *args.variant;
    }
    return options;
}

std::vector<bench::OpFamily> families_of(const BenchOpsArgs& args, const ModelConfig& config) {
    bench::OpCaseOptions options;
    options.half = args.common.half;
    if (!args.contexts.empty()) options.contexts = args.contexts;
    std::vector<bench::OpFamily> list = op_families(config, options);
    std::erase_if(list, [&](const bench::OpFamily& family) {
        const std::string name = family.op.substr(0, family.op.find('/'));
        return !args.ops.empty() && std::find(args.ops.begin(), args.ops.end(), name) == args.ops.end();
    });
    return list;
}

// Contexts that were asked for and that the shape has no room for, as results.
std::vector<bench::OpResult> without_room(const BenchOpsArgs& args, const ModelConfig& config) {
    std::vector<bench::OpResult> list;
    for (const char* name : {"mla_attention", "mla_expanded"}) {
        if (!args.ops.empty() && std::find(args.ops.begin(), args.ops.end(), name) == args.ops.end()) continue;
        for (const int64_t context : args.contexts)
            if (context > config.max_position_embeddings)
                list.push_back({.op = name,
                                .shape = fmt::format("context {}", context),
                                .skipped = fmt::format("the shape has {} positions", config.max_position_embeddings)});
    }
    return list;
}

// What a whole run is told about its results: how many are wrong, and the first of them; which variants there were.
struct Summary {
    int64_t wrong = 0;
    std::string first;
    std::set<std::string> variants;

    void note(const bench::OpResult& result, const std::string& device) {
        if (!result.variant.empty()) variants.insert(result.variant);
        std::string text = result.problem;
        if (result.wrong)
            text = fmt::format("argument {} element {}: wanted {}, found {}", result.wrong->argument,
                               result.wrong->index, result.wrong->wanted, result.wrong->found);
        if (text.empty()) return;
        if (wrong++ == 0)
            first = fmt::format("{} {} {} on {}: {}", result.op, result.shape, result.variant, device, text);
    }
};

Status measure_device(const BenchOpsArgs& args, const BenchDevice& device, const vks_plugin& reference,
                      const std::vector<bench::OpFamily>& families, TableWriter& table, Summary& summary) {
    std::string name;
    std::optional<bench::Roofline> roofline;
    {
        // The roofline is of the device as it is opened here; it must be alone.
        conformance::Target target(*device.plugin, device.index, bench_options(args).device_options);
        if (!target.ok())
            return Error{Code::kNoBackend, fmt::format("device ({}): wanted to open it, found {}", device.id,
                                                       conformance::describe(target.status, target.error))};
        VKS_ASSIGN(roofline, bench::roofline_of(target));
        name = roofline->device;
    }
    bench::OpBench bench(*device.plugin, device.index, reference, bench_options(args));
    if (!bench.problem().empty())
        return Error{Code::kNoBackend, fmt::format("device ({}): {}", device.id, bench.problem())};
    Progress progress("operators on " + device.id);
    for (size_t i = 0; i < families.size(); ++i) {
        progress.update(static_cast<int64_t>(i), std::ssize(families));
        VKS_TRY(bench.run(families[i], [&](const bench::OpResult& result) {
            summary.note(result, device.id);
            return table.row(op_row(result, device.id, name, &*roofline));
        }));
    }
    return {};
}

Status measure_devices(const BenchOpsArgs& args, const ModelConfig& config, Registry& registry) {
    VKS_ASSIGN(const vks_plugin* reference, reference_plugin(registry));
    VKS_ASSIGN(const std::vector<BenchDevice> devices, bench_devices(registry, args.common.placement.backends));
    const std::vector<bench::OpFamily> families = families_of(args, config);
    TableWriter table(bench::op_table(), args.format);
    Summary summary;
    for (const BenchDevice& device : devices) {
        VKS_TRY(measure_device(args, device, *reference, families, table, summary));
        for (const bench::OpResult& result : without_room(args, config))
            VKS_TRY(table.row(op_row(result, device.id, "", nullptr)));
    }
    VKS_TRY(table.end());
    // A device whose plugin lets nobody choose has what it has.
    const std::string wanted = bench_options(args).variant;
    if (!wanted.empty() && !summary.variants.empty() && !summary.variants.contains(wanted))
        return Error{
            Code::kNoBackend,
            fmt::format("variant (--variant): wanted one of those that these operators have here ({}), found {}",
                        cut(fmt::format("{}", fmt::join(summary.variants, ", ")), 400), quote(wanted, 80))};
    if (summary.wrong == 0) return {};
    return Error{Code::kMismatch, fmt::format("operators (bench ops): wanted right results, found {} wrong; first {}",
                                              summary.wrong, summary.first)};
}

Status run_bench_ops(const BenchOpsArgs& args) {
    VKS_TRY(check_rows(args));
    VKS_ASSIGN(const ModelConfig config, named_shape(args.shapes.value_or("demo"), "--shapes"));
    return with_registry(args.common, [&](Registry& registry) { return measure_devices(args, config, registry); });
}

}  // namespace

void add_bench_ops(CLI::App& bench, Action& action) {
    const auto args = std::make_shared<BenchOpsArgs>();
    CLI::App& app = add_command<BenchOpsArgs>(
        bench, action, "ops", "Single operators: checked against the CPU plugin, then timed", args, run_bench_ops);
    add_values(app, "--op", "NAME", "Only this operator; repeatable",
               [args](const std::string& text) { return add_op(text, args->ops); });
    add_text(app, "--shapes", "NAME|FILE", "Shapes of this model: demo (default), deepseek-v3, ... or a config.json",
             args->shapes);
    add_backend_option(app, args->common.placement,
                       "Devices to measure, e.g. cpu,vulkan:0. Default: auto, all of them");
    add_text(app, "--variant", "NAME", "Only this variant, e.g. plain; operators that run as another are skipped",
             args->variant);
    add_counts(app, "--rows", "Rows: tokens in a step. Default 1,2,4,8,64,512,4096", args->rows);
    add_counts(app, "--contexts", "Contexts of attention. Default 1024,8192,65536", args->contexts);
    add_integer(app, "-r,--repetitions", "Repetitions of each case. Default 5", args->repetitions, 1, 100000);
    add_number(app, "--most-gflop", "Work: cases of more GFLOP are skipped, 0: none. Default 300", args->most_gflop, 0,
               1e9);
    add_number(app, "--most-time",
               "Time: cases whose launch would take more seconds, by that of fewer rows, are skipped, "
               "0: none. Default 10",
               args->most_time, 0, 1e9);
    add_flag(app, "--full", "No bounds of work and time but those given", args->full);
    add_value(app, "--most-memory", "SIZE", "Memory: operators whose weights take more are skipped",
              [args](const std::string& text) -> Status {
                  VKS_ASSIGN(args->most_memory, parse_size(text, "--most-memory"));
                  return {};
              });
    add_format_option(app, args->format);
    add_math_option(app, args->common);
    add_threads_option(app, args->common);
    add_plugin_option(app, args->common);
    add_verbose_option(app, args->common);
}

}  // namespace vks
