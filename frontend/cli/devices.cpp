// vkseek devices: every device of every plugin, and why one is not usable.
#include <memory>
#include <nlohmann/json.hpp>

#include "frontend/cli/commands.h"
#include "frontend/cli/console.h"
#include "frontend/cli/options.h"
#include "frontend/cli/runtime.h"

namespace vks {
namespace {

struct DevicesArgs {
    CommonOptions common;
    bool json = false;
};

struct FlagName {
    uint64_t flag;
    const char* name;
};
constexpr FlagName kFlagNames[] = {{VKS_DEVICE_SOFTWARE, "software"},
                                   {VKS_DEVICE_HOST_MEMORY, "host-memory"},
                                   {VKS_DEVICE_UNUSABLE, "unusable"},
                                   {VKS_DEVICE_FALLBACK, "fallback"}};

nlohmann::ordered_json device_json(const DeviceEntry& entry, const std::string& why_not) {
    nlohmann::ordered_json json;
    json["id"] = entry.id;
    json["name"] = entry.info.name;
    json["detail"] = entry.info.detail;
    json["plugin"] = entry.plugin->path.string();
    json["bytes_total"] = entry.info.bytes_total;
    json["bytes_free"] = entry.info.bytes_free;
    json["max_buffer"] = entry.info.max_buffer;
    json["memory_bytes_per_s"] = entry.info.memory_bytes_per_s;
    json["link_bytes_per_s"] = entry.info.link_bytes_per_s;
    json["flags"] = nlohmann::ordered_json::array();
    for (const FlagName& f : kFlagNames) {
        if (entry.info.flags & f.flag) json["flags"].push_back(f.name);
    }
    json["usable"] = why_not.empty();
    if (!why_not.empty()) json["reason"] = why_not;
    return json;
}

std::string device_text(const DeviceEntry& entry, const std::string& why_not) {
    std::string text = fmt::format("{}: {}\n", entry.id, entry.info.name);
    if (entry.info.detail[0] != 0) text += fmt::format("    {}\n", entry.info.detail);
    text +=
        fmt::format("    memory {}, free {}", human_bytes(entry.info.bytes_total), human_bytes(entry.info.bytes_free));
    for (const FlagName& f : kFlagNames) {
        if (entry.info.flags & f.flag) text += fmt::format(", {}", f.name);
    }
    text += why_not.empty() ? "\n    usable\n" : fmt::format("\n    not usable: {}\n", why_not);
    return text;
}

Status list_devices(const DevicesArgs& args, Registry& registry) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    std::string text;
    for (const auto& entry : registry.devices()) {
        const std::string why_not = registry.problem(*entry);
        list.push_back(device_json(*entry, why_not));
        text += device_text(*entry, why_not);
    }
    if (args.json) return write_json(list);
    if (text.empty()) text = "no devices; vkseek plugins says which libraries there are\n";
    return write_stdout(text);
}

Status run_devices(const DevicesArgs& args) {
    return with_registry(args.common, [&](Registry& registry) { return list_devices(args, registry); });
}

}  // namespace

void add_devices(CLI::App& program, Action& action) {
    const auto args = std::make_shared<DevicesArgs>();
    CLI::App& app =
        add_command<DevicesArgs>(program, action, "devices", "List the devices of all plugins", args, run_devices);
    add_plugin_option(app, args->common);
    add_flag(app, "--json", "Print one JSON document", args->json);
    add_verbose_option(app, args->common);
}

}  // namespace vks
