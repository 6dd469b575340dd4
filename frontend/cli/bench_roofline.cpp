// vkseek bench roofline: what devices can do at best.
#include <memory>

#include "backend/base/log.h"
#include "frontend/bench/roofline.h"
#include "frontend/cli/bench.h"
#include "frontend/cli/bench_devices.h"
#include "frontend/cli/options.h"
#include "frontend/cli/placement.h"

namespace vks {
namespace {

struct BenchRooflineArgs {
    CommonOptions common;
    bench::Format format = bench::Format::kMarkdown;
};

Status measure_devices(const BenchRooflineArgs& args, Registry& registry) {
    VKS_ASSIGN(const std::vector<BenchDevice> devices, bench_devices(registry, args.common.placement.backends));
    TableWriter table(bench::roofline_table(), args.format);
    const std::string options = args.common.threads ? fmt::format("threads={}", *args.common.threads) : "";
    std::vector<std::string> not_kept;
    for (const BenchDevice& device : devices) {
        conformance::Target target(*device.plugin, device.index, options);
        if (!target.ok())
            return Error{Code::kNoBackend, fmt::format("device ({}): wanted to open it, found {}", device.id,
                                                       conformance::describe(target.status, target.error))};
        VKS_ASSIGN(const bench::Roofline roofline, bench::measure_roofline(target));
        for (const auto& row : roofline_rows(roofline, device.id)) VKS_TRY(table.row(row));
        if (const Status kept = bench::keep_roofline(roofline); !kept) not_kept.push_back(kept.error().text);
    }
    VKS_TRY(table.end());
    for (const std::string& text : not_kept) log_line(LogLevel::kWarning, text);
    return {};
}

Status run_bench_roofline(const BenchRooflineArgs& args) {
    return with_registry(args.common, [&](Registry& registry) { return measure_devices(args, registry); });
}

}  // namespace

void add_bench_roofline(CLI::App& bench, Action& action) {
    const auto args = std::make_shared<BenchRooflineArgs>();
    CLI::App& app = add_command<BenchRooflineArgs>(
        bench, action, "roofline", "What devices can do at best; kept for bench ops", args, run_bench_roofline);
    add_backend_option(app, args->common.placement,
                       "Devices to measure, e.g. cpu,vulkan:0. Default: auto, all of them");
    add_threads_option(app, args->common);
    add_format_option(app, args->format);
    add_plugin_option(app, args->common);
    add_verbose_option(app, args->common);
}

}  // namespace vks
