// vkseek bench model: tokens a second of a model or of a shape with synthetic weights, with the names, columns and
// formats of llama-bench.
#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <memory>

#include "backend/registry/thread_times.h"
#include "frontend/bench/bytes_model.h"
#include "frontend/bench/machine.h"
#include "frontend/bench/model_results.h"
#include "frontend/cli/bench.h"
#include "frontend/cli/console.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"
#include "frontend/io/synth.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

using bench::ModelTest;

struct BenchModelArgs {
    CommonOptions common;
    std::optional<std::string> shape;
    ShapeOverrides overrides;
    std::filesystem::path work_dir;
    bench::ModelTests tests{{512}, {128}, {0}, 0, {0.85, 1}};
    bool coincide = false, repeated = false;
    std::optional<int64_t> repetitions, drafts, chunk, seed;
    bench::Format format = bench::Format::kMarkdown;
};

Status parse_acceptances(const std::string& text, std::vector<double>& list) {
    VKS_ASSIGN(const auto items, parse_list(text, "--mtp-acceptance"));
    list.clear();
    for (const std::string& item : items) {
        double value = -1;
        const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
        if (error != std::errc() || end != item.data() + item.size() || !(value >= 0 && value <= 1))
            return usage_error("acceptance", "--mtp-acceptance", "numbers from 0 to 1, separated by commas", text);
        list.push_back(value);
    }
    return {};
}

// A shape becomes a checkpoint of random weights in a folder of its own, gone when the benchmark is. It has as many
// positions as the tests need.
struct Synthesised {
    std::optional<bench::TempFolder> folder;
    ModelConfig whole;  // the shape before --layers and so on
};

Result<Synthesised> synthesise(const BenchModelArgs& args, int64_t context, const std::atomic<bool>& interrupted) {
    VKS_ASSIGN(const ModelConfig shape, named_shape(*args.shape));
    SynthOptions options;
    ShapeOverrides overrides = args.overrides;
    const int64_t drafts = args.drafts.value_or(0);
    overrides.mtp = drafts > 0 ? std::max<int64_t>(1, shape.num_nextn_predict_layers) : 0;
    VKS_ASSIGN(options.config, override_shape(shape, overrides));
    options.config.max_position_embeddings = std::max(options.config.max_position_embeddings, context);
    VKS_ASSIGN(bench::TempFolder folder, bench::TempFolder::make(args.work_dir));
    options.out = folder.path();
    options.seed = static_cast<uint64_t>(args.seed.value_or(0));
    options.one_route = args.coincide;
    Progress progress("MB of random weights");
    options.progress = [&](uint64_t done, uint64_t total) {
        progress.update(static_cast<int64_t>(done / 1000000), static_cast<int64_t>(total / 1000000));
    };
    options.interrupted = &interrupted;
    VKS_TRY(synth(options));
    if (interrupted) return Error{Code::kBadInput, "benchmark: wanted to go on, found it interrupted"};
    return Synthesised{std::move(folder), shape};
}

// Tests that are compared with each other run in turn: generation without drafts, then with.
Status run_group(bench::ModelBench& bench, std::span<const ModelTest> group, const BenchModelArgs& args,
                 bench::ModelReport& report, ResultStream& out, const InterruptFlag& interrupt) {
    std::vector<bench::ModelResult> results;
    for (const ModelTest& test : group) {
        results.push_back({test, bench::utc_now(), {}});
        VKS_TRY(bench.run(test, &interrupt.flag()));  // not counted
    }
    for (int64_t i = 0; i < args.repetitions.value_or(5); ++i) {
        for (bench::ModelResult& result : results) {
            VKS_ASSIGN(bench::ModelSample sample, bench.run(result.test, &interrupt.flag()));
            result.samples.push_back(std::move(sample));
        }
    }
    for (const bench::ModelResult& result : results) VKS_TRY(out.add(report.add(result, results.front())));
    return {};
}

Status run_tests(Runtime& runtime, const std::vector<ModelTest>& tests, const BenchModelArgs& args,
                 bench::ModelReport& report, const InterruptFlag& interrupt) {
    bench::ModelBench bench(runtime.engine(), static_cast<uint64_t>(args.seed.value_or(0)), args.repeated);
    Progress progress("tests");
    ResultStream out([&] { return report.begin(); }, [&] { return report.end(); });
    for (size_t first = 0; first < tests.size();) {
        size_t last = first + 1;
        while (last < tests.size() && tests[last].drafts > 0) ++last;
        progress.update(static_cast<int64_t>(first), std::ssize(tests));
        VKS_TRY(run_group(bench, std::span(tests).subspan(first, last - first), args, report, out, interrupt));
        first = last;
    }
    progress.clear();
    VKS_TRY(runtime.finish());
    return out.end();
}

bench::ModelUnderTest model_under_test(const Runtime& runtime, const CommonOptions& options,
                                       const BenchModelArgs& args) {
    bench::ModelUnderTest model;
    model.config = runtime.config();
    model.stats = checkpoint_stats(*runtime.checkpoint());
    model.filename = args.shape ? "shape " + *args.shape : runtime.checkpoint()->dir().string();
    model.build = VKS_VERSION;
    model.half = options.half;
    model.repeated = args.repeated;
    model.threads = options.threads.value_or(1);
    model.routing = args.coincide ? bench::Routing::kCoincide : bench::Routing::kIndependent;
    for (const DeviceEntry* entry : runtime.devices()) {
        if (const uint64_t threads = usual_threads(*entry->plugin->table); threads > 0 && !options.threads)
            model.threads = static_cast<int64_t>(threads);
        model.backends += (model.backends.empty() ? "" : ",") + entry->id;
        if (entry->info.flags & VKS_DEVICE_FALLBACK) continue;
        model.gpu_info += (model.gpu_info.empty() ? "" : ", ") + std::string(entry->info.name);
    }
    return model;
}

Status check(const BenchModelArgs& args, const std::vector<ModelTest>& tests) {
    if (args.shape && !args.common.model.empty())
        return usage_error("model", "vkseek bench model --help", "one of -m and --shape", "both");
    const ShapeOverrides& o = args.overrides;
    if (!args.shape && (o.layers || o.dense || o.experts || args.coincide || !args.work_dir.empty()))
        return usage_error("shape", "--shape", "one that --layers, --dense, --experts, --routing or --work-dir change",
                           "none");
    if (args.repeated && args.drafts.value_or(0) > 0)
        return usage_error("rows up to a depth", "--depth-rows", "computed, with --mtp", "repeated");
    if (tests.empty()) return usage_error("tests", "-p, -n", "at least one above 0", "none");
    return {};
}

Status run_bench_model(const BenchModelArgs& args) {
    bench::ModelTests wanted = args.tests;
    wanted.drafts = args.drafts.value_or(0);
    const std::vector<ModelTest> tests = bench::list_tests(wanted);
    VKS_TRY(check(args, tests));
    const InterruptFlag interrupt(Interrupts::kAll);
    CommonOptions options = args.common;
    Synthesised made;
    if (args.shape) {
        VKS_ASSIGN(Synthesised synthesised, synthesise(args, bench::context_of(tests), interrupt.flag()));
        made.folder.emplace(std::move(*synthesised.folder));
        made.whole = synthesised.whole;
        options.model = made.folder->path();
    }
    VKS_ASSIGN(const auto runtime, Runtime::open(options, TokenizerUse::kNone));
    EngineOptions engine = engine_options(options);
    engine.chunk = args.chunk.value_or(engine.chunk);
    engine.context = bench::context_of(tests);
    if (engine.context > runtime->config().max_position_embeddings)
        return Error{Code::kBadInput, fmt::format("tests (-p, -n, -d): wanted at most {} positions together, the "
                                                  "model's max_position_embeddings, found {}",
                                                  runtime->config().max_position_embeddings, engine.context)};
    MtpArgs mtp;
    mtp.drafts = wanted.drafts;
    VKS_TRY(speculation_options(mtp, *runtime->checkpoint(), false, engine));
    VKS_TRY(runtime->start(engine));
    bench::ModelUnderTest model = model_under_test(*runtime, options, args);
    model.chunk = engine.chunk;
    if (args.shape) model.whole = made.whole;
    bench::ModelReport report(model, args.format);
    VKS_TRY(run_tests(*runtime, tests, args, report, interrupt));
    runtime->print_warnings();
    return {};
}

// An option with two values, of which the first is the default.
void add_choice(CLI::App& app, const char* what, const char* option, const std::array<std::string, 2>& values,
                const char* help, const std::function<void(bool second)>& set) {
    add_value(app, option, values[0] + "|" + values[1], help, [=](const std::string& text) -> Status {
        if (text != values[0] && text != values[1])
            return usage_error(what, option, values[0] + " or " + values[1], text);
        set(text == values[1]);
        return {};
    });
}

}  // namespace

void add_bench_model(CLI::App& bench, Action& action) {
    constexpr int64_t kMost = 100000;
    const auto args = std::make_shared<BenchModelArgs>();
    CLI::App& app = add_command<BenchModelArgs>(
        bench, action, "model", "Tokens a second, as llama-bench measures and prints them", args, run_bench_model);
    add_text(app, "--shape", "NAME|FILE", "Synthetic weights of this shape instead of a model, e.g. deepseek-v3",
             args->shape);
    add_integer(app, "--layers", "Layers: hidden layers of the shape; figures for all of them are extrapolated",
                args->overrides.layers, 1, kMost);
    add_integer(app, "--dense", "Dense layers of the shape: so many come first", args->overrides.dense, 0, kMost);
    add_integer(app, "--experts", "Experts: routed experts a layer of the shape", args->overrides.experts, 1, kMost);
    add_choice(app, "routing", "--routing", {"independent", "coincide"},
               "Experts of a shape's tokens: independent (default), or the same ones for every token",
               [args](bool second) { args->coincide = second; });
    add_path(app, "--work-dir", "Folder for a shape's weights while they are needed. Default: $TMPDIR or /tmp",
             args->work_dir);
    add_counts(app, "-p,--n-prompt", "Prompts: tokens, 0 for none. Default 512", args->tests.prompts);
    add_counts(app, "-n,--n-gen", "Generation: tokens, 0 for none. Default 128", args->tests.generates);
    add_counts(app, "-d,--n-depth", "Depths: tokens already in the cache. Default 0", args->tests.depths);
    add_choice(
        app, "rows up to a depth", "--depth-rows", {"computed", "repeated"},
        "Rows up to a depth: computed (default), or the first chunk's over and over, without the wait for the others",
        [args](bool second) { args->repeated = second; });
    add_integer(app, "-r,--repetitions", "Repetitions of each test. Default 5", args->repetitions, 1, kMost);
    add_integer(app, "--mtp", "Drafts a step: generation with them, in turn with generation without. Default 0",
                args->drafts, 0, 16);
    add_value(app, "--mtp-acceptance", "A,...",
              "Which part of the drafts is right: known ones are replayed. Default 0.85,1",
              [args](const std::string& text) { return parse_acceptances(text, args->tests.acceptances); });
    add_integer(app, "--chunk", "Chunk: tokens of the prompt in one step. Default 512", args->chunk, 1, 65536);
    add_integer(app, "--seed", "Seed of weights and ids. Default 0", args->seed, 0, INT64_MAX);
    add_format_option(app, args->format);
    add_running_options(app, args->common);
}

}  // namespace vks
