// vkseek plugins: every library found, what it offers and whether its devices work, or why it was refused.
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/base/bad_input.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/options.h"

namespace vks {
namespace {

struct PluginsArgs {
    CommonOptions common;
    bool json = false;
};

// The id of each device of a plugin, and why it can't be used (empty: it can).
using Devices = std::vector<std::pair<std::string, std::string>>;

Devices devices_of(Registry& registry, const PluginFile& file) {
    Devices list;
    for (const auto& entry : registry.devices())
        if (entry->plugin == &file) list.emplace_back(entry->id, registry.problem(*entry));
    return list;
}

nlohmann::ordered_json plugin_json(const PluginFile& file, const Devices& devices) {
    nlohmann::ordered_json json;
    json["path"] = file.path.string();
    json["accepted"] = file.table != nullptr;
    if (!file.table) {
        json["reason"] = file.refusal;
        return json;
    }
    json["name"] = file.name;
    json["build"] = file.build;
    json["abi"] = fmt::format("{}.{}", file.abi_major, file.abi_minor);
    json["ops"] = file.ops;
    json["devices"] = nlohmann::ordered_json::array();
    for (const auto& [id, problem] : devices) {
        json["devices"].push_back({{"id", id}, {"usable", problem.empty()}});
        if (!problem.empty()) json["devices"].back()["reason"] = problem;
    }
    return json;
}

std::string plugin_text(const PluginFile& file, const Devices& devices) {
    if (!file.table) return fmt::format("{}\n    refused: {}\n", file.path.string(), one_line(file.refusal));
    std::string text =
        fmt::format("{}\n    {}, {}, ABI {}.{}\n    {} operators: {}\n", file.path.string(), file.name, file.build,
                    file.abi_major, file.abi_minor, file.ops.size(), fmt::join(file.ops, " "));
    for (const auto& [id, problem] : devices)
        text += fmt::format("    device {}: {}{}\n", id, problem.empty() ? "works" : "not usable: ", problem);
    return text;
}

Status list_plugins(const PluginsArgs& args, Registry& registry) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    std::string text;
    for (const auto& file : registry.plugins()) {
        const Devices devices = devices_of(registry, *file);
        list.push_back(plugin_json(*file, devices));
        text += plugin_text(*file, devices);
    }
    if (args.json) return write_json(list);
    if (text.empty()) {
        text = "no plugin libraries in";
        for (const auto& dir : plugin_dirs(args.common.plugin_dirs)) text += " " + dir.string();
        text += "\n";
    }
    return write_stdout(text);
}

Status run_plugins(const PluginsArgs& args) {
    return with_registry(args.common, [&](Registry& registry) { return list_plugins(args, registry); });
}

}  // namespace

void add_plugins(CLI::App& program, Action& action) {
    const auto args = std::make_shared<PluginsArgs>();
    CLI::App& app =
        add_command<PluginsArgs>(program, action, "plugins", "List the plugin libraries found", args, run_plugins);
    add_plugin_option(app, args->common);
    add_flag(app, "--json", "Print one JSON document", args->json);
    add_verbose_option(app, args->common);
}

}  // namespace vks
