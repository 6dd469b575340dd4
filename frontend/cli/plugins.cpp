// vkseek plugins: every library found and what it offers, or why it was refused.
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

nlohmann::ordered_json plugin_json(const PluginFile& file) {
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
    return json;
}

std::string plugin_text(const PluginFile& file) {
    if (!file.table) return fmt::format("{}\n    refused: {}\n", file.path.string(), one_line(file.refusal));
    return fmt::format("{}\n    {}, {}, ABI {}.{}\n    {} operators: {}\n", file.path.string(), one_line(file.name),
                       one_line(file.build), file.abi_major, file.abi_minor, file.ops.size(),
                       one_line(fmt::format("{}", fmt::join(file.ops, " "))));
}

Status run_plugins(const PluginsArgs& args) {
    const auto dirs = plugin_dirs(args.common.plugin_dirs);
    const Registry registry(dirs);
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    std::string text;
    for (const auto& file : registry.plugins()) {
        list.push_back(plugin_json(*file));
        text += plugin_text(*file);
    }
    if (args.json) return write_json(list);
    if (text.empty()) {
        text = "no plugin libraries in";
        for (const auto& dir : dirs) text += " " + dir.string();
        text += "\n";
    }
    return write_stdout(text);
}

}  // namespace

void add_plugins(CLI::App& program, Action& action) {
    const auto args = std::make_shared<PluginsArgs>();
    CLI::App& app =
        add_command<PluginsArgs>(program, action, "plugins", "List the plugin libraries found", args, run_plugins);
    add_plugin_option(app, args->common);
    app.add_flag("--json", args->json, "Print one JSON document");
    add_verbose_option(app, args->common);
}

}  // namespace vks
