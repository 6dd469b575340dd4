// vkseek doctor: what is wrong with this machine, and what to do about it.
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/examine.h"
#include "frontend/cli/options.h"
#include "frontend/cli/values.h"
#include "frontend/model/shapes.h"

namespace vks {
namespace {

struct DoctorArgs {
    CommonOptions common;
    std::optional<std::string> shape;
    bool json = false;
};

Result<ModelSize> size_of(const DoctorArgs& args) {
    if (args.shape) {
        VKS_ASSIGN(const ModelConfig config, named_shape(*args.shape));
        return model_size(*args.shape, config, nullptr);
    }
    VKS_ASSIGN(const std::filesystem::path dir, model_dir(args.common));
    VKS_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(dir));
    return model_size("the model", checkpoint.config(), &checkpoint);
}

nlohmann::ordered_json findings_json(const std::vector<Finding>& findings) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Finding& f : findings)
        list.push_back({{"grade", grade_name(f.grade)}, {"topic", f.topic}, {"text", f.text}, {"advice", f.advice}});
    return list;
}

nlohmann::ordered_json report_json(const MachineReport& report) {
    nlohmann::ordered_json json;
    json["machine"] = findings_json(report.findings);
    json["devices"] = nlohmann::ordered_json::array();
    for (const DeviceReport& device : report.devices) {
        nlohmann::ordered_json one = {{"id", device.id}, {"name", device.name}, {"usable", device.usable}};
        one["findings"] = findings_json(device.findings);
        one["operators"] = nlohmann::ordered_json::object();
        for (const auto& [op, a] : device.operators) {
            one["operators"][op] = {{"right", a.right}, {"wrong", a.wrong}, {"unsupported", a.unsupported}};
            if (!a.problem.empty()) one["operators"][op]["problem"] = a.problem;
        }
        json["devices"].push_back(std::move(one));
    }
    return json;
}

std::string findings_text(const std::vector<Finding>& findings) {
    std::string text;
    for (const Finding& f : findings) {
        text += fmt::format("    {:<8} {}: {}\n", grade_name(f.grade), f.topic, f.text);
        if (!f.advice.empty()) text += fmt::format("             {}\n", f.advice);
    }
    return text;
}

std::string report_text(const MachineReport& report) {
    std::string text = "the machine\n" + findings_text(report.findings);
    for (const DeviceReport& device : report.devices)
        text += fmt::format("{}: {}\n{}", device.id, device.name, findings_text(device.findings));
    return text;
}

Status run_doctor(const DoctorArgs& args) {
    if (args.shape && !args.common.model.empty()) return usage_error("model", "--shape", "a shape or a model", "both");
    Result<ModelSize> model = size_of(args);
    // Nobody asked for that one: the machine can be looked at without it.
    const bool wanted = args.shape || !args.common.model.empty();
    if (!model && wanted) return model.error();
    Registry registry(plugin_dirs(args.common.plugin_dirs));
    Progress progress("devices");
    const std::optional<ModelSize> size = model ? std::optional(*model) : std::nullopt;
    MachineReport report = examine(registry, size, [&](int64_t done, int64_t total) { progress.update(done, total); });
    progress.clear();
    for (const std::string& text : plugin_path_warnings())
        report.findings.push_back(
            {VKS_FINDING_WARNING, "plugins", text, "Make the folder, or take it out of that list."});
    if (!model)
        report.findings.push_back({VKS_FINDING_WARNING, "model", one_line(model.error().text),
                                   "Point -m or VKSEEK_MODEL at a model's folder, or install again; no sizes were held "
                                   "against the devices."});
    VKS_TRY(args.json ? write_json(report_json(report)) : write_stdout(report_text(report)));
    if (const std::string wrong = report.wrong(); !wrong.empty())
        return Error{Code::kMismatch, "known answers (doctor): wanted right ones, found wrong ones: " + wrong};
    if (!report.any_usable()) return Error{Code::kNoBackend, "device (doctor): wanted one that is usable, found none"};
    return {};
}

}  // namespace

void add_doctor(CLI::App& program, Action& action) {
    const auto args = std::make_shared<DoctorArgs>();
    CLI::App& app = add_command<DoctorArgs>(program, action, "doctor",
                                            "Check plugins, drivers and devices, and say what to do", args, run_doctor);
    add_model_option(app, args->common);
    add_text(app, "--shape", "NAME|FILE", "Hold a shape's size against the devices instead, e.g. deepseek-v3",
             args->shape);
    add_plugin_option(app, args->common);
    add_flag(app, "--json", "Print one JSON document", args->json);
    add_verbose_option(app, args->common);
}

}  // namespace vks
