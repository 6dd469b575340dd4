#include "frontend/cli/examine.h"

#include <algorithm>

#include "backend/base/bad_input.h"
#include "frontend/cli/runtime.h"
#include "frontend/model/inspect.h"
#include "frontend/model/layout.h"

namespace vks {
namespace {

using conformance::Answers;
using conformance::KnownAnswers;

std::vector<Finding> about_plugins(Registry& registry, bool reference) {
    std::vector<Finding> list;
    std::string names;
    for (const auto& file : registry.plugins()) {
        if (file->table) {
            names += (names.empty() ? "" : ", ") + file->name;
        } else {
            list.push_back({VKS_FINDING_WARNING, "plugins",
                            fmt::format("{} was refused: {}", file->path.string(), one_line(file->refusal)),
                            "Build it against this version's headers, or remove the file."});
        }
    }
    if (names.empty()) {
        list.push_back(
            {VKS_FINDING_FAULT, "plugins", "there is none",
             "Point --plugin-dir or VKSEEK_PLUGIN_PATH at the folder with libvkseek_*.so, or install again."});
    } else {
        list.push_back({VKS_FINDING_GOOD, "plugins", names, ""});
    }
    if (!reference) {
        list.push_back(
            {VKS_FINDING_WARNING, "known answers", "without the CPU plugin there is nothing to compare with",
             "Install libvkseek_cpu.so; until then only NaN, stray writes and unsteady results are noticed."});
    }
    for (const auto& file : registry.plugins()) {
        if (!file->table) continue;
        for (Finding& found : plugin_findings(*file->table, VKS_FINDINGS_MACHINE)) {
            found.topic = file->name + " " + found.topic;
            list.push_back(std::move(found));
        }
    }
    return list;
}

// A tensor can be wider than what a shader sees at once, or than what the driver gives in one piece.
Finding about_largest(const vks_info& info, const ModelSize& model) {
    const std::string what =
        fmt::format("{} of {} has {}", model.largest, model.name, human_bytes(model.largest_bytes));
    if (info.max_buffer != 0 && model.largest_bytes > info.max_buffer) {
        return {VKS_FINDING_WARNING, "largest tensor",
                fmt::format("{}, the device gives {} in one piece", what, human_bytes(info.max_buffer)),
                "Leave the operator that reads it to the CPU, e.g. --op gemm=cpu for the output head."};
    }
    if (info.max_binding != 0 && model.largest_bytes > info.max_binding) {
        return {VKS_FINDING_NOTE, "largest tensor",
                fmt::format("{}, a shader sees {} at once", what, human_bytes(info.max_binding)),
                "Nothing: it is worked on in parts, at little cost."};
    }
    return {VKS_FINDING_GOOD, "largest tensor", what + ", which fits", ""};
}

Finding about_room(const vks_info& info, const ModelSize& model) {
    const std::string text =
        fmt::format("{} has {}, the device {}, {} of it free", model.name, human_bytes(model.bytes),
                    human_bytes(info.bytes_total), human_bytes(info.bytes_free));
    if (info.bytes_total == 0 || model.bytes <= info.bytes_free) return {VKS_FINDING_GOOD, "room", text, ""};
    if (info.flags & VKS_DEVICE_HOST_MEMORY) {
        return {VKS_FINDING_WARNING, "room", text,
                "It runs, as fast as the disk gives what does not fit: add memory, or end other programs."};
    }
    if (model.bytes <= info.bytes_total) {
        return {VKS_FINDING_WARNING, "room", text, "End the programs that hold the rest of the device's memory."};
    }
    return {VKS_FINDING_WARNING, "room", text, "Leave the experts to the CPU: --op grouped_gemm=cpu."};
}

// What else computes what this one can't, or not rightly.
std::string instead_of(const DeviceEntry& entry, const std::string& op) {
    return entry.plugin->name != "cpu" ? fmt::format("--op {}=cpu", op) : fmt::format("--op {}=DEVICE, another", op);
}

void add_answers(DeviceReport& report, KnownAnswers& known, const DeviceEntry& entry) {
    auto answers = known.ask(*entry.plugin->table, entry.index);
    std::vector<std::string> good, elsewhere;
    int cases = 0;
    for (const auto& [op, a] : answers.by_op) {
        const std::string name = op.substr(0, op.find('/'));
        if (a.wrong > 0) {
            report.findings.push_back(
                {VKS_FINDING_FAULT, "known answers",
                 fmt::format("{} is wrong in {} of {} cases; {}", op, a.wrong, a.wrong + a.right, one_line(a.problem)),
                 fmt::format("Keep it off this device ({}), update {}, and report it.", instead_of(entry, name),
                             entry.plugin->name != "cpu" ? "driver and plugin" : "or reinstall the plugin")});
        } else if (a.right > 0) {
            good.push_back(name);
            cases += a.right;
        } else {
            elsewhere.push_back(name);
        }
    }
    if (!good.empty()) {
        report.findings.push_back(
            {VKS_FINDING_GOOD, "known answers",
             fmt::format("{} operators right in {} cases: {}", good.size(), cases, fmt::join(good, " ")), ""});
    }
    if (!answers.problem.empty()) {
        report.findings.push_back({VKS_FINDING_FAULT, "known answers", one_line(answers.problem),
                                   "Leave the device out (--backend), and update its driver and plugin."});
    } else if (!elsewhere.empty()) {
        report.findings.push_back(
            {VKS_FINDING_NOTE, "known answers", fmt::format("not offered here: {}", fmt::join(elsewhere, " ")),
             entry.plugin->name != "cpu"
                 ? "Name a second backend that has them, such as cpu, after this one."
                 : "Name a second backend that has them after this one, or reinstall the plugin."});
    }
    report.operators = std::move(answers.by_op);
}

DeviceReport about_device(Registry& registry, DeviceEntry& entry, const std::optional<ModelSize>& model,
                          KnownAnswers& known) {
    DeviceReport report;
    report.id = entry.id;
    report.name = entry.info.name;
    report.findings = plugin_findings(*entry.plugin->table, entry.index);
    const std::string why_not = registry.problem(entry);
    report.usable = why_not.empty();
    if (!report.usable) {
        report.findings.push_back({VKS_FINDING_WARNING, "device", "not usable: " + one_line(why_not),
                                   "Mend what the findings above name; until then other devices do its work."});
        return report;
    }
    if (model) {
        report.findings.push_back(about_largest(entry.info, *model));
        report.findings.push_back(about_room(entry.info, *model));
    }
    add_answers(report, known, entry);
    return report;
}

}  // namespace

Result<ModelSize> model_size(const std::string& name, const ModelConfig& config, const Checkpoint* checkpoint) {
    ModelSize size;
    size.name = name;
    size.bytes = (checkpoint ? checkpoint_stats(*checkpoint) : shape_stats(config)).bytes;
    VKS_TRY(for_each_tensor(config, [&](const TensorSpec& spec) -> Status {
        const bool fp8 = config.fp8 && spec.may_be_fp8;
        uint64_t bytes = static_cast<uint64_t>(spec.elements()) * (fp8 ? 1 : spec.router_bias ? 4 : 2);
        if (checkpoint) {
            const TensorView* view = checkpoint->find(spec.name);
            bytes = view ? view->bytes : 0;
        }
        if (bytes > size.largest_bytes) {
            size.largest_bytes = bytes;
            size.largest = spec.name;
        }
        return {};
    }));
    return size;
}

bool MachineReport::any_usable() const {
    return std::any_of(devices.begin(), devices.end(), [](const DeviceReport& d) { return d.usable; });
}

std::string MachineReport::wrong() const {
    std::string list;
    for (const DeviceReport& device : devices)
        for (const auto& [op, answers] : device.operators)
            if (answers.wrong > 0) list += fmt::format("{}{} on {}", list.empty() ? "" : ", ", op, device.id);
    return list;
}

MachineReport examine(Registry& registry, const std::optional<ModelSize>& model,
                      const std::function<void(int64_t, int64_t)>& progress) {
    const vks_plugin* reference = nullptr;
    for (const auto& file : registry.plugins())
        if (file->table && file->name == "cpu") reference = file->table;
    KnownAnswers known(reference);
    MachineReport report;
    report.findings = about_plugins(registry, known.has_reference());
    const std::vector<DeviceEntry*> entries = registry.devices();
    for (DeviceEntry* entry : entries) {
        progress(static_cast<int64_t>(report.devices.size()), static_cast<int64_t>(entries.size()));
        report.devices.push_back(about_device(registry, *entry, model, known));
    }
    return report;
}

}  // namespace vks
