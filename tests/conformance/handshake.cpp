// Group handshake: entry, versions, tables, listing and opening devices.
#include <dlfcn.h>

#include <set>

#include "backend/registry/loader.h"
#include "tests/conformance/groups.h"

namespace vks::conformance {
namespace {

constexpr uint32_t kMostDevices = 64;

bool terminated(const char* text, size_t capacity) {
    return strnlen(text, capacity) < capacity;
}

void check_versions(const vks_entry& entry, const vks_plugin* table, Report& report) {
    vks_error error{};
    const vks_plugin* other = entry.negotiate(VKS_ABI_MAJOR + 1, 0, &error);
    report.check("refuses another major version", other == nullptr, "wanted NULL from negotiate, found a table");
    report.check("says why it refuses",
                 other != nullptr || (error.text[0] && terminated(error.text, sizeof error.text)),
                 "wanted a text in vks_error, found none");
    entry.negotiate(VKS_ABI_MAJOR + 1, 0, nullptr);
    report.check("negotiate takes a null error", true);
    const vks_plugin* again = entry.negotiate(VKS_ABI_MAJOR, table->minor, &error);
    report.check("negotiates twice", again && again->device && std::string(again->name) == table->name,
                 "wanted the same plugin again");
}

void check_operators(const PluginFile& file, Report& report) {
    std::set<std::string> seen;
    std::string twice;
    for (const std::string& op : file.ops)
        if (!seen.insert(op).second) twice = op;
    report.check("lists each operator once", twice.empty(), "found twice: " + twice);
    report.check("lists an operator", !file.ops.empty(), "found none");
    if (file.table->extension) {
        const bool none = file.table->extension("no_such_extension/1") == nullptr;
        report.check("has no unknown extension", none, "wanted NULL, found a table");
    }
}

std::string problem_of(const vks_info& info) {
    if (!terminated(info.name, sizeof info.name) || !info.name[0]) return "name: wanted a terminated text";
    if (!terminated(info.detail, sizeof info.detail)) return "detail: wanted a terminated text";
    const uint64_t a = info.alignment;
    if ((a & (a - 1)) != 0 || a > 65536) return fmt::format("alignment: wanted a power of two to 65536, found {}", a);
    constexpr uint64_t kKnown =
        VKS_DEVICE_SOFTWARE | VKS_DEVICE_HOST_MEMORY | VKS_DEVICE_UNUSABLE | VKS_DEVICE_FALLBACK;
    if (info.flags & ~kKnown) return fmt::format("flags: found unknown ones in {:#x}", info.flags);
    if ((info.flags & VKS_DEVICE_UNUSABLE) && !info.detail[0]) return "detail: wanted why the device is not usable";
    return {};
}

// How many devices there are.
uint32_t check_listing(const vks_plugin& p, Report& report) {
    uint32_t count = 0;
    std::string problem;
    vks_error error{};
    for (; count < kMostDevices; ++count) {
        vks_info info{};
        info.size = sizeof info;
        error = {};
        const vks_status status = p.enumerate(count, &info, &error);
        if (status == VKS_UNSUPPORTED) break;
        if (status != VKS_OK) problem = fmt::format("device {}: {}", count, describe(status, error));
        if (problem.empty()) problem = problem_of(info);
        if (!problem.empty()) break;
    }
    report.check("enumerate describes each device", problem.empty(), problem);
    report.check("enumerate ends", count < kMostDevices, fmt::format("wanted at most {} devices", kMostDevices));
    report.check("enumerate says why it ends", error.text[0] != 0, "wanted a text in vks_error, found none");
    vks_info info{};
    info.size = sizeof info;
    report.check("enumerate ends at the last index too", p.enumerate(UINT32_MAX, &info, nullptr) == VKS_UNSUPPORTED,
                 "wanted UNSUPPORTED for index 2^32-1");
    // A caller from before `detail` was there: nothing behind its size may be touched.
    vks_info old;
    std::memset(&old, 0x5a, sizeof old);
    old.size = offsetof(vks_info, detail);
    const vks_status status = count ? p.enumerate(0, &old, &error) : vks_status{VKS_OK};
    bool untouched = true;
    for (size_t i = offsetof(vks_info, detail); i < sizeof old; ++i)
        untouched = untouched && reinterpret_cast<const unsigned char*>(&old)[i] == 0x5a;
    report.check("keeps within the size it is given", status == VKS_OK && untouched,
                 "wanted no byte of vks_info written behind its size");
    return count;
}

void check_opening(const vks_plugin& p, uint32_t count, const Settings& settings, Report& report) {
    vks_device* device = nullptr;
    vks_error error{};
    const vks_host host = {sizeof(vks_host), nullptr, nullptr, nullptr};
    const vks_status past = p.open(&host, count, "", &device, &error);
    report.check("opens no device past the last", past != VKS_OK && !device, "wanted an error, found a device");
    report.check("says why it doesn't open", error.text[0] != 0, "wanted a text in vks_error, found none");
    p.open(&host, count, "", &device, nullptr);
    report.check("open takes a null error", true);
    for (const char* round : {"opens and closes", "opens and closes again"}) {
        Target target(p, settings.device, settings.options);
        report.check(round, target.ok(), describe(target.status, target.error));
    }
    {
        Target first(p, settings.device, settings.options), second(p, settings.device, settings.options);
        report.check("opens twice at a time", first.ok() && second.ok() && first.device != second.device,
                     "wanted two devices");
    }
    Target odd(p, settings.device, settings.options + (settings.options.empty() ? "" : ";") + "no_such_option=1;;=;x");
    report.check("ignores unknown options", odd.ok(), describe(odd.status, odd.error));
}

}  // namespace

const vks_plugin* check_handshake(const Settings& settings, Report& report) {
    report.group("handshake");
    const PluginFile file = load_plugin(settings.plugin);
    if (!report.check("the core accepts it", file.table != nullptr, file.refusal)) return nullptr;
    void* library = dlopen(settings.plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto* entry = static_cast<const vks_entry*>(dlsym(library, "vks_plugin_entry"));
    check_versions(*entry, file.table, report);
    check_operators(file, report);
    const uint32_t count = check_listing(*file.table, report);
    if (!report.check("has the device asked for", settings.device < count,
                      fmt::format("wanted device {}, found {} devices", settings.device, count)))
        return nullptr;
    check_opening(*file.table, count, settings, report);
    return file.table;
}

}  // namespace vks::conformance
