// vkseek plan: what would live where, and how fast it would be. Loads no weights; devices may be supposed ones.
#include <algorithm>
#include <cctype>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "backend/registry/thread_times.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/measure.h"
#include "frontend/cli/options.h"
#include "frontend/cli/plan_report.h"
#include "frontend/cli/runtime.h"
#include "frontend/cli/values.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

// Where nothing is known: a mid-range GPU, PCIe 4 x16 in practice, one NVMe drive.
constexpr double kAssumedDevice = 400e9, kAssumedLink = 20e9, kAssumedDisk = 3e9;
constexpr uint64_t kGigabyte = 1'000'000'000;

struct PlanArgs {
    CommonOptions common;
    std::string model;  // positional
    std::optional<std::string> shape;
    std::optional<int64_t> context, chunk;
    std::vector<std::pair<std::string, uint64_t>> memory;  // in the order given, each device once
    std::map<std::string, double> bandwidth, compute;      // bytes and operations a second
    bool json = false;
};

const double* find_rate(const std::map<std::string, double>& rates, std::string_view name) {
    const auto it =
        std::ranges::find_if(rates, [&](const auto& rate) { return plain_name(rate.first) == plain_name(name); });
    return it != rates.end() ? &it->second : nullptr;
}

// What is counted, and the file that tells the disk's speed.
struct Subject {
    std::optional<Checkpoint> checkpoint;
    ModelConfig config;
    ModelStats stats;
    std::vector<ModelPiece> pieces;
    std::filesystem::path file;
};

Result<Subject> subject_of(const PlanArgs& args) {
    Subject subject;
    if (args.shape) {
        if (!args.model.empty() || !args.common.model.empty())
            return usage_error("model", "--shape", "a shape or a model", "both");
        VKS_ASSIGN(subject.config, named_shape(*args.shape));
        subject.stats = shape_stats(subject.config);
        subject.pieces = shape_pieces(subject.config);
        return subject;
    }
    VKS_ASSIGN(const std::filesystem::path dir, model_dir(args.common, args.model));
    VKS_ASSIGN(Checkpoint checkpoint, Checkpoint::open(dir));
    subject.config = checkpoint.config();
    subject.stats = checkpoint_stats(checkpoint);
    subject.pieces = checkpoint_pieces(checkpoint);
    const auto size = [](const SafetensorsFile& file) { return file.file().size(); };
    subject.file = std::ranges::max_element(checkpoint.files(), {}, size)->file().path();
    subject.checkpoint.emplace(std::move(checkpoint));
    return subject;
}

// Collects devices and what is known of their speed.
class Surveyor {
public:
    Surveyor(const PlanArgs& args, PlanReport& report) : args_(args), report_(report) {}

    Status run(const std::filesystem::path& file, Registry& registry) {
        VKS_ASSIGN(const std::vector<DeviceEntry*> hosts, registry.select("cpu"));
        std::optional<uint64_t> host_memory;
        for (const auto& [name, bytes] : args_.memory) {
            if (plain_name(name) == "cpu") {
                host_memory = bytes;
            } else {
                add(name, bytes, 0);
            }
        }
        if (args_.memory.empty()) VKS_TRY(add_real(registry));
        host_threads_ = static_cast<unsigned>(std::max<uint64_t>(1, usual_threads(*hosts.front()->plugin->table)));
        add("cpu", host_memory.value_or(hosts.front()->info.bytes_free), 0);
        if (report_.machine.devices.size() > 1) add_link();
        const auto disk = given("disk") ? std::nullopt : measure_disk(file);
        report_.machine.disk = choose("disk", "disk", disk.value_or(0), "measured", kAssumedDisk);
        return unknown_names();
    }

private:
    Status add_real(Registry& registry) {
        VKS_ASSIGN(const std::vector<DeviceEntry*> usable, registry.select("auto"));
        for (const DeviceEntry* entry : usable) {
            if (entry->info.flags & VKS_DEVICE_HOST_MEMORY) continue;
            link_ = std::max(link_, static_cast<double>(entry->info.link_bytes_per_s));
            add(entry->id, entry->info.bytes_free, static_cast<double>(entry->info.memory_bytes_per_s));
        }
        return {};
    }

    void add(const std::string& name, uint64_t memory, double reported) {
        DeviceModel& device = report_.machine.devices.emplace_back();
        device.name = name;
        device.memory = memory;
        const bool host = name == "cpu";
        const double measured = host && !given(name) ? measure_memory(host_threads_) : reported;
        device.bandwidth = choose(name, name + " memory", measured, host ? "measured" : "reported", kAssumedDevice);
        if (const double* flops = find_rate(args_.compute, name)) device.flops = *flops;
    }

    void add_link() {
        const double link = choose("link", "link", link_, "reported", kAssumedLink);
        for (DeviceModel& device : report_.machine.devices)
            if (device.name != "cpu") device.link = link;
    }

    bool given(const std::string& name) const { return find_rate(args_.bandwidth, name) != nullptr; }

    // What was given, else what was found, else an assumption; notes which.
    double choose(const std::string& name, const std::string& label, double found, const char* origin, double assumed) {
        const double* rate = find_rate(args_.bandwidth, name);
        const double value = rate ? *rate : found > 0 ? found : assumed;
        report_.assumptions.push_back({label, value / 1e9, rate ? "given" : found > 0 ? origin : "assumed"});
        return value;
    }

    Status unknown_names() const {
        const auto known = [&](const std::string& name, bool path) {
            if (path && (name == "disk" || name == "link")) return true;
            return std::ranges::any_of(report_.machine.devices,
                                       [&](const auto& d) { return plain_name(d.name) == plain_name(name); });
        };
        std::vector<std::string> names;
        for (const DeviceModel& device : report_.machine.devices) names.push_back(device.name);
        for (const auto& [name, value] : args_.bandwidth) {
            if (known(name, true)) continue;
            return usage_error("device", "--bandwidth", fmt::format("{}, link or disk", fmt::join(names, ", ")),
                               quote(name, 40));
        }
        for (const auto& [name, value] : args_.compute) {
            if (!known(name, false)) {
                return usage_error("device", "--compute", fmt::format("{}", fmt::join(names, ", ")), quote(name, 40));
            }
        }
        return {};
    }

    const PlanArgs& args_;
    PlanReport& report_;
    double link_ = 0;
    unsigned host_threads_ = 1;
};

Status make_plan(const PlanArgs& args, Registry& registry) {
    VKS_ASSIGN(const Subject subject, subject_of(args));
    PlanReport report;
    report.config = &subject.config;
    report.stats = subject.stats;
    const int64_t most = subject.config.max_position_embeddings;
    report.work.context = args.context.value_or(std::min<int64_t>(most, 8192));
    if (report.work.context > most) {
        return bad_input("context (-c): wanted at most {}, the model's max_position_embeddings, found {}", most,
                         report.work.context);
    }
    report.work.chunk = args.chunk.value_or(512);
    report.work.kv_bytes_per_token = static_cast<uint64_t>(subject.stats.kv_bytes_per_token);
    VKS_TRY(Surveyor(args, report).run(subject.file, registry));
    report.estimate = estimate(subject.config, subject.pieces, report.machine, report.work);
    for (size_t d = 0; d < report.machine.devices.size(); ++d) {
        Machine larger = report.machine;
        larger.devices[d].memory += kGigabyte;
        const Estimate better = estimate(subject.config, subject.pieces, larger, report.work);
        report.gains.push_back({larger.devices[d].name, better.decode.tok_s});
    }
    return args.json ? write_json(plan_json(report)) : write_stdout(plan_text(report));
}

Status run_plan(const PlanArgs& args) {
    return with_registry(args.common, [&](Registry& registry) { return make_plan(args, registry); });
}

void add_rates(CLI::App& app, const std::string& name, const std::string& unit, const std::string& help, double factor,
               std::map<std::string, double>& rates) {
    add_values(app, name, "DEV=" + unit, help, [=, &rates](const std::string& text) -> Status {
        VKS_ASSIGN(const auto pair, parse_assignment(text, "rate", name, "DEV=" + unit));
        VKS_ASSIGN(const double value, parse_positive(pair.second, name));
        rates[pair.first] = value * factor;
        return {};
    });
}

}  // namespace

void add_plan(CLI::App& program, Action& action) {
    const auto args = std::make_shared<PlanArgs>();
    CLI::App& app = add_command<PlanArgs>(
        program, action, "plan", "What would live where, and the expected speed; loads no weights", args, run_plan);
    add_argument(app, "MODEL", "", "Model: as -m", args->model);
    add_text(app, "--shape", "NAME|FILE", "Plan a shape instead, e.g. deepseek-v3, or a config.json", args->shape);
    add_values(
        app, "--memory", "DEV=SIZE",
        "Memory of a device, e.g. vulkan:0=24G or cpu=64G; repeatable, fastest first, also of devices that aren't "
        "there. Default: what is free on this machine",
        [args](const std::string& text) -> Status {
            VKS_ASSIGN(const auto cap, parse_memory(text));
            std::erase_if(args->memory,
                          [&](const auto& earlier) { return plain_name(earlier.first) == plain_name(cap.first); });
            args->memory.push_back(cap);
            return {};
        });
    add_rates(app, "--bandwidth", "GB/s",
              "Bandwidth of a device's memory, of link or disk, e.g. vulkan:0=900; repeatable", 1e9, args->bandwidth);
    add_rates(app, "--compute", "TFLOPS", "Arithmetic of a device, e.g. vulkan:0=80; repeatable. Default: not counted",
              1e12, args->compute);
    add_integer(app, "-c,--ctx-size", "Context: positions of the latent cache. Default 8192", args->context, 1,
                INT32_MAX);
    add_integer(app, "--chunk", "Chunk: tokens of the prompt a step. Default 512", args->chunk, 1, INT32_MAX);
    add_flag(app, "--json", "Print one JSON document", args->json);
    add_model_option(app, args->common);
    add_plugin_option(app, args->common);
    add_verbose_option(app, args->common);
}

}  // namespace vks
