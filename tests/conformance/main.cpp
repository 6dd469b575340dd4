// Runs any plugin against the contract of backend/abi, one line per check. What it checks is in groups.h.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

#include "backend/registry/loader.h"
#include "tests/conformance/groups.h"

namespace {

using vks::conformance::describe;
using vks::conformance::Report;
using vks::conformance::Settings;
using vks::conformance::Target;

constexpr const char* kUsage =
    "usage: vks_conformance PLUGIN.so [options]\n"
    "  --group LIST      of handshake,memory,stream,query,ops; default: all\n"
    "  --options TEXT    for the plugin's open: \"threads=2;variant=plain\"\n"
    "  --device N        which of its devices; default 0\n"
    "  --reference SO    the plugin to compare operators with, opened with variant=plain\n"
    "  --require-all     every operator of abi/ops.h must be supported in every case\n"
    "  --skip LIST       beginnings of checks that are known gaps: \"query: refuses,stream: a wait\"\n"
    "  --seed N          of the operators' inputs; default 1\n"
    "Exit status: 0 all passed, 2 usage, 4 the plugin can't be used at all, 5 a check failed.\n";

std::vector<std::string> split(std::string list) {
    std::vector<std::string> parts;
    while (!list.empty()) {
        const size_t end = std::min(list.find(','), list.size());
        if (end > 0) parts.push_back(list.substr(0, end));
        list.erase(0, end + 1);
    }
    return parts;
}

struct Arguments {
    Settings settings;
    std::vector<std::string> groups = {"handshake", "memory", "stream", "query", "ops"};
    std::vector<std::string> skip;
};

std::optional<Arguments> parse(int argc, char** argv) {
    Arguments a;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--require-all") {
            a.settings.require_all = true;
        } else if (!word.starts_with("--") && a.settings.plugin.empty()) {
            a.settings.plugin = word;
        } else if (i + 1 == argc) {
            return std::nullopt;
        } else if (const std::string value = argv[++i]; word == "--group") {
            a.groups = split(value);
        } else if (word == "--options") {
            a.settings.options = value;
        } else if (word == "--device") {
            a.settings.device = uint32_t(std::strtoul(value.c_str(), nullptr, 10));
        } else if (word == "--reference") {
            a.settings.reference = value;
        } else if (word == "--skip") {
            a.skip = split(value);
        } else if (word == "--seed") {
            a.settings.seed = std::strtoull(value.c_str(), nullptr, 10);
        } else {
            return std::nullopt;
        }
    }
    const Arguments known;
    for (const std::string& group : a.groups)
        if (std::find(known.groups.begin(), known.groups.end(), group) == known.groups.end()) return std::nullopt;
    if (a.settings.plugin.empty()) return std::nullopt;
    // dlopen looks for names without a slash elsewhere.
    a.settings.plugin = std::filesystem::absolute(a.settings.plugin);
    if (!a.settings.reference.empty()) a.settings.reference = std::filesystem::absolute(a.settings.reference);
    return a;
}

int unusable(const std::string& what, const std::string& why) {
    std::fprintf(stderr, "vks_conformance: %s: %s\n", what.c_str(), why.c_str());
    return 4;
}

}  // namespace

int main(int argc, char** argv) {
    const auto arguments = parse(argc, argv);
    if (!arguments) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    const Settings& settings = arguments->settings;
    const auto wanted = [&](const char* group) {
        return std::find(arguments->groups.begin(), arguments->groups.end(), group) != arguments->groups.end();
    };
    Report report(arguments->skip);
    const vks_plugin* plugin = nullptr;
    if (wanted("handshake")) {
        plugin = check_handshake(settings, report);
        if (!plugin) return 5;
    } else {
        const vks::PluginFile file = vks::load_plugin(settings.plugin);
        if (!file.table) return unusable(settings.plugin.string(), file.refusal);
        plugin = file.table;
    }
    Target target(*plugin, settings.device, settings.options);
    if (!target.ok()) return unusable("open", describe(target.status, target.error));
    std::unique_ptr<Target> reference;
    if (!settings.reference.empty()) {
        const vks::PluginFile file = vks::load_plugin(settings.reference);
        if (!file.table) return unusable(settings.reference.string(), file.refusal);
        reference = std::make_unique<Target>(*file.table, 0, "threads=1;variant=plain");
        if (!reference->ok()) return unusable("open the reference", describe(reference->status, reference->error));
    }
    if (wanted("memory")) check_memory(target, report);
    if (wanted("stream")) check_stream(target, report);
    if (wanted("query")) check_query(target, report, settings);
    if (wanted("ops")) check_ops(target, reference.get(), report, settings);
    std::printf("%s\n", report.summary().c_str());
    return report.failed() ? 5 : 0;
}
