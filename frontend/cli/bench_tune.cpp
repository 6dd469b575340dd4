// vkseek bench tune: numbers of operators, chosen for each device by measurement and kept for the next start.
#include <algorithm>
#include <memory>

#include "backend/registry/loader.h"
#include "frontend/bench/tuner.h"
#include "frontend/cli/bench.h"
#include "frontend/cli/bench_devices.h"
#include "frontend/cli/options.h"
#include "frontend/cli/placement.h"
#include "frontend/cli/values.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

using Json = nlohmann::ordered_json;

struct BenchTuneArgs {
    CommonOptions common;
    std::optional<std::string> shapes;
    std::vector<int64_t> rows = {1, 2, 4, 8, 64};
    std::optional<int64_t> repetitions;
    bool dry = false;
    bench::Format format = bench::Format::kMarkdown;
};

bench::TableLayout tune_table() {
    const auto text = [](const char* name) { return [=](const Json& row) { return row[name].get<std::string>(); }; };
    const auto number = [](const char* name, const char* format) {
        return [=](const Json& row) { return fmt::format(fmt::runtime(format), row[name].get<double>()); };
    };
    return {"vkseek_tune",
            {{"backend", bench::Type::kText},
             {"number", bench::Type::kText},
             {"chosen", bench::Type::kInteger},
             {"cases", bench::Type::kInteger},
             {"usual_us", bench::Type::kReal},
             {"best_us", bench::Type::kReal}},
            {{"backend", -10, text("backend")},
             {"number", -28, text("number")},
             {"chosen", 6,
              [](const Json& row) {
                  return row["chosen"].is_null() ? std::string("usual") : std::to_string(row["chosen"].get<int64_t>());
              }},
             {"cases", 5, number("cases", "{:.0f}")},
             {"usual us", 10, number("usual_us", "{:.1f}")},
             {"best us", 10, number("best_us", "{:.1f}")}}};
}

Status tune_device(const BenchTuneArgs& args, const BenchDevice& device, const vks_plugin& reference,
                   const std::vector<bench::OpFamily>& families, TableWriter& table) {
    const auto* shaders =
        static_cast<const vks_shader_api*>(find_extension(*device.plugin, VKS_SHADER_ID, sizeof(vks_shader_api)));
    const auto* tuning =
        static_cast<const vks_tuning_api*>(find_extension(*device.plugin, VKS_TUNING_ID, sizeof(vks_tuning_api)));
    if (!shaders || !tuning)
        return Error{
            Code::kNoBackend,
            fmt::format("device (--backend {}): wanted one whose plugin can be tuned, found another", device.id)};
    bench::OpBenchOptions options;
    options.rows = args.rows;
    options.repetitions = args.repetitions.value_or(options.repetitions);
    bench::Tuner tuner(*device.plugin, device.index, reference, *shaders, *tuning, options);
    if (!tuner.problem().empty())
        return Error{Code::kNoBackend, fmt::format("device ({}): {}", device.id, tuner.problem())};
    VKS_TRY(tuner.run(families, [&](const bench::TunedNumber& number) {
        return table.row({{"backend", device.id},
                          {"number", number.name},
                          {"chosen", number.chosen ? Json(number.chosen) : Json()},
                          {"cases", number.cases},
                          {"usual_us", number.usual_seconds * 1e6},
                          {"best_us", number.seconds * 1e6}});
    }));
    return args.dry ? Status{} : tuner.keep();
}

Status tune_devices(const BenchTuneArgs& args, Registry& registry) {
    if (std::any_of(args.rows.begin(), args.rows.end(), [](int64_t n) { return n <= 0; }))
        return usage_error("rows", "--rows", "numbers above 0", "0");
    VKS_ASSIGN(const ModelConfig config, named_shape(args.shapes.value_or("demo"), "--shapes"));
    VKS_ASSIGN(const vks_plugin* reference, reference_plugin(registry));
    VKS_ASSIGN(const std::vector<BenchDevice> devices, bench_devices(registry, args.common.placement.backends));
    bench::OpCaseOptions options;
    options.half = args.common.half;
    options.contexts = {1024};
    const std::vector<bench::OpFamily> families = op_families(config, options);
    TableWriter table(tune_table(), args.format);
    for (const BenchDevice& device : devices) VKS_TRY(tune_device(args, device, *reference, families, table));
    return table.end();
}

Status run_bench_tune(const BenchTuneArgs& args) {
    return with_registry(args.common, [&](Registry& registry) { return tune_devices(args, registry); });
}

}  // namespace

void add_bench_tune(CLI::App& bench, Action& action) {
    const auto args = std::make_shared<BenchTuneArgs>();
    args->common.placement.backends = {"vulkan"};
    CLI::App& app = add_command<BenchTuneArgs>(bench, action, "tune",
                                               "Choose operators' numbers by measurement, from the next start on", args,
                                               run_bench_tune);
    add_text(app, "--shapes", "NAME|FILE", "Shapes of this model: demo (default), deepseek-v3, ... or a config.json",
             args->shapes);
    add_counts(app, "--rows", "Rows: tokens in a step. Default 1,2,4,8,64", args->rows);
    add_integer(app, "-r,--repetitions", "Repetitions of each case. Default 5", args->repetitions, 1, 100000);
    add_flag(app, "--dry-run", "Measure and print, keep nothing", args->dry);
    add_backend_option(app, args->common.placement, "Devices to tune. Default: vulkan, the first usable one");
    add_math_option(app, args->common);
    add_format_option(app, args->format);
    add_plugin_option(app, args->common);
    add_verbose_option(app, args->common);
}

}  // namespace vks
