// vkseek bench isa: what compilers make of the operators' programs; runs none of them.
#include <filesystem>
#include <memory>

#include "backend/base/output_file.h"
#include "backend/registry/loader.h"
#include "frontend/bench/isa.h"
#include "frontend/cli/bench.h"
#include "frontend/cli/bench_devices.h"
#include "frontend/cli/options.h"
#include "frontend/cli/placement.h"
#include "frontend/cli/values.h"

namespace vks {
namespace {

using Json = nlohmann::ordered_json;

struct BenchIsaArgs {
    CommonOptions common;
    std::vector<std::string> gpus;
    std::filesystem::path save;
    bench::Format format = bench::Format::kMarkdown;
};

// TARGET.json, as tests/isa/baseline.py compares it.
Status save_rows(const std::filesystem::path& dir, const std::string& target, const std::vector<Json>& rows) {
    std::error_code error;
    std::filesystem::create_directories(dir, error);
    VKS_ASSIGN(OutputFile file, OutputFile::open("results", dir / (target + ".json")));
    Json all = {{"device", rows.empty() ? Json() : rows[0]["device"]},
                {"driver", rows.empty() ? Json() : rows[0]["driver"]},
                {"pipelines", rows}};
    return file.write(all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::vector<Json>> rows_of_gpu(const BenchIsaArgs& args, const std::string& gpu) {
    VKS_ASSIGN(const std::vector<std::string> environment, bench::faked(gpu));
    std::vector<std::string> arguments = {"bench", "isa", "--backend", "vulkan:0", "-o", "json"};
    for (const std::filesystem::path& dir : args.common.plugin_dirs)
        arguments.insert(arguments.end(), {"--plugin-dir", std::filesystem::absolute(dir).string()});
    VKS_ASSIGN(const std::string text, bench::run_myself(arguments, environment));
    const Json rows = Json::parse(text, nullptr, false);
    if (!rows.is_array())
        return Error{Code::kNoBackend, fmt::format("GPU {} (--gpu): wanted results, found none", gpu)};
    std::vector<Json> list(rows.begin(), rows.end());
    for (Json& row : list) row["backend"] = gpu;
    return list;
}

Result<std::vector<Json>> rows_of_device(const BenchDevice& device) {
    const auto* api =
        static_cast<const vks_shader_api*>(find_extension(*device.plugin, VKS_SHADER_ID, sizeof(vks_shader_api)));
    if (!api)
        return Error{
            Code::kNoBackend,
            fmt::format("device (--backend {}): wanted one whose plugin has shaders, found another", device.id)};
    std::vector<Json> rows;
    VKS_TRY(bench::compile_all(*device.plugin, device.index, device.id, *api, [&](const Json& row) {
        rows.push_back(row);
        return Status{};
    }));
    return rows;
}

Status run_bench_isa(const BenchIsaArgs& args) {
    TableWriter table(bench::isa_table(), args.format);
    const auto show = [&](const std::string& target, const std::vector<Json>& rows) -> Status {
        for (const Json& row : rows) VKS_TRY(table.row(row));
        return args.save.empty() ? Status{} : save_rows(args.save, target, rows);
    };
    for (const std::string& gpu : args.gpus) {
        VKS_ASSIGN(const std::vector<Json> rows, rows_of_gpu(args, gpu));
        VKS_TRY(show(gpu, rows));
    }
    if (args.gpus.empty()) {
        return with_registry(args.common, [&](Registry& registry) -> Status {
            VKS_ASSIGN(const std::vector<BenchDevice> devices, bench_devices(registry, args.common.placement.backends));
            for (const BenchDevice& device : devices) {
                VKS_ASSIGN(const std::vector<Json> rows, rows_of_device(device));
                VKS_TRY(show(device.id, rows));
            }
            return table.end();
        });
    }
    return table.end();
}

}  // namespace

void add_bench_isa(CLI::App& bench, Action& action) {
    const auto args = std::make_shared<BenchIsaArgs>();
    args->common.placement.backends = {"vulkan"};
    CLI::App& app = add_command<BenchIsaArgs>(
        bench, action, "isa", "Registers, spills, waves, code of every pipeline, also on GPUs that aren't there", args,
        run_bench_isa);
    add_value(app, "--gpu", "NAME,...",
              "Instead of devices: GPUs that mesa-drm-shim fakes, e.g. navi31,gfx1201,nvidia-172,adreno-740,apple",
              [args](const std::string& text) -> Status {
                  VKS_ASSIGN(args->gpus, parse_list(text, "--gpu"));
                  return {};
              });
    add_path(app, "--save", "Folder: NAME.json of each, for tests/isa/baseline.py", args->save);
    add_backend_option(app, args->common.placement, "Devices. Default: vulkan, the first usable one");
    add_format_option(app, args->format);
    add_plugin_option(app, args->common);
    add_verbose_option(app, args->common);
}

}  // namespace vks
