#include "backend/registry/registry.h"

#include <algorithm>
#include <array>

#include "backend/base/bad_input.h"
#include "backend/base/log.h"
#include "backend/registry/lane.h"
#include "backend/registry/rehearsal.h"

namespace vks {
namespace {

constexpr uint32_t kMaxDevices = 64;  // a plugin whose enumerate never ends is refused

void host_log(void*, int level, const char* text) {
    if (text) log_line(static_cast<LogLevel>(std::clamp(level, 0, 3)), plugin_text(text, 1024));
}

const void* host_extension(void*, const char*) {
    return nullptr;
}

// A constructor or a handshake that crashes or hangs does so in a child process, once, and its library is refused. All
// are tried together first, which is all there is to do for good ones.
std::vector<std::unique_ptr<PluginFile>> load_all(const std::vector<std::filesystem::path>& paths) {
    const Status all = rehearse([&] {
        for (const auto& path : paths) load_plugin(path);
    });
    std::vector<std::unique_ptr<PluginFile>> files;
    for (const auto& path : paths) {
        const Status tried = all ? Status() : rehearse([&] { load_plugin(path); });
        files.push_back(std::make_unique<PluginFile>(tried ? load_plugin(path) : PluginFile()));
        if (tried) continue;
        files.back()->path = path;
        files.back()->refusal = tried.error().text;
    }
    return files;
}

std::string refuse_second_name(const std::vector<std::unique_ptr<PluginFile>>& earlier, const PluginFile& file) {
    for (const auto& other : earlier)
        if (other->table && other->name == file.name)
            return fmt::format("plugin name: wanted one not taken, found {} of {}", file.name, other->path.string());
    return {};
}

// The devices of a plugin; sets its refusal when it can't list them.
std::vector<std::unique_ptr<DeviceEntry>> list_devices(PluginFile& file) {
    std::vector<std::unique_ptr<DeviceEntry>> found;
    for (uint32_t i = 0;; ++i) {
        auto entry = std::make_unique<DeviceEntry>();
        entry->plugin = &file;
        entry->index = i;
        entry->info.size = sizeof(vks_info);
        vks_error error{};
        const vks_status status = abi::guard(&error, [&] { return file.table->enumerate(i, &entry->info, &error); });
        if (status == VKS_UNSUPPORTED) break;
        if (status != VKS_OK) {
            file.refusal = fmt::format("enumerate: {}", status_text(status, error));
        } else if (i == kMaxDevices) {
            file.refusal = fmt::format("enumerate: wanted at most {} devices, found more", kMaxDevices);
        }
        if (!file.refusal.empty()) return {};
        make_printable(entry->info.name, sizeof entry->info.name);
        make_printable(entry->info.detail, sizeof entry->info.detail);
        found.push_back(std::move(entry));
    }
    return found;
}

void name_devices(const PluginFile& file, const std::vector<std::unique_ptr<DeviceEntry>>& devices) {
    for (const auto& entry : devices)
        entry->id = devices.size() == 1 ? file.name : fmt::format("{}:{}", file.name, entry->index);
}

// Memory, a stream and a fence, used once.
Status round_trip(Device& device) {
    std::array<uint8_t, 256> there{}, back{};
    for (size_t i = 0; i < there.size(); ++i) there[i] = static_cast<uint8_t>(i * 7 + 1);
    VKS_ASSIGN(const auto lane, Lane::create(device));
    VKS_ASSIGN(const Buffer memory, device.buffer(there.size(), VKS_BUFFER_DEVICE, nullptr, "a little memory"));
    const Location place{memory.get(), 0, static_cast<std::byte*>(device.map(memory))};
    VKS_TRY(lane->upload(there.data(), place, there.size()));
    lane->touched();  // so that the fence is used even where nothing had to be copied
    VKS_TRY(lane->finish());
    VKS_TRY(lane->download(place, back.data(), back.size()));
    if (there == back) return {};
    return Error{Code::kNoBackend, fmt::format("a copy ({}): wanted the bytes back, found others", device.id())};
}

}  // namespace

Registry::Registry(const std::vector<std::filesystem::path>& dirs) {
    host_.size = sizeof host_;
    host_.log = host_log;
    host_.extension = host_extension;
    for (auto& file : load_all(find_plugins(dirs))) {
        if (file->table) file->refusal = refuse_second_name(plugins_, *file);
        if (!file->refusal.empty()) file->table = nullptr;
        plugins_.push_back(std::move(file));
    }
}

Registry::~Registry() {
    for (size_t i = opened_.size(); i-- > 0;) opened_[i]->device.reset();
}

std::vector<std::unique_ptr<DeviceEntry>>& Registry::devices_of(PluginFile& file) {
    const auto [it, fresh] = devices_.try_emplace(&file);
    std::vector<std::unique_ptr<DeviceEntry>>& here = it->second;
    if (!fresh || !file.table) return here;
    here = list_devices(file);
    if (!file.refusal.empty()) file.table = nullptr;
    name_devices(file, here);
    return here;
}

const std::vector<std::unique_ptr<PluginFile>>& Registry::plugins() {
    for (const auto& file : plugins_) devices_of(*file);
    return plugins_;
}

std::vector<DeviceEntry*> Registry::devices() {
    std::vector<DeviceEntry*> all;
    for (const auto& file : plugins_)
        for (const auto& entry : devices_of(*file)) all.push_back(entry.get());
    return all;
}

std::string Registry::known_ids() {
    std::string list;
    for (const DeviceEntry* entry : devices()) list += (list.empty() ? "" : ", ") + entry->id;
    if (!list.empty()) return list;
    return "no device at all (see vkseek plugins)";
}

Result<std::vector<DeviceEntry*>> Registry::select(const std::string& name, std::string_view option) {
    std::vector<DeviceEntry*> found;
    const std::string what = option.empty() ? "device" : fmt::format("device ({})", option);
    const auto unknown = [&] {
        if (devices().empty())
            return Error{Code::kNoBackend, fmt::format("{}: wanted {}, found {}", what, quote(name, 80), known_ids())};
        return Error{Code::kNoBackend,
                     fmt::format("{}: wanted one of {}, found {}", what, known_ids(), quote(name, 80))};
    };
    const size_t colon = name.find(':');
    const std::string plugin = name.substr(0, colon);
    if (name == "auto") {
        for (const bool fallback : {false, true})
            for (DeviceEntry* e : devices()) {
                const bool usable = !(e->info.flags & (VKS_DEVICE_UNUSABLE | VKS_DEVICE_SOFTWARE));
                if (usable && fallback == ((e->info.flags & VKS_DEVICE_FALLBACK) != 0)) found.push_back(e);
            }
        if (found.empty()) return Error{Code::kNoBackend, "device (--backend auto): wanted any, found " + known_ids()};
        return found;
    }
    const auto named = std::find_if(plugins_.begin(), plugins_.end(),
                                    [&](const auto& file) { return file->table && file->name == plugin; });
    if (named == plugins_.end()) return unknown();
    const DeviceEntry* unusable = nullptr;
    for (const auto& e : devices_of(**named)) {
        if (colon != std::string::npos && name.substr(colon + 1) != std::to_string(e->index)) continue;
        if (e->info.flags & VKS_DEVICE_UNUSABLE) {
            if (!unusable) unusable = e.get();
            continue;
        }
        found.push_back(e.get());
        return found;
    }
    if (unusable)
        return Error{Code::kNoBackend, fmt::format("{}: wanted one that is usable, found {}: {}", what, unusable->id,
                                                   unusable->info.detail)};
    return unknown();
}

Result<Device*> Registry::open(DeviceEntry& entry, const std::string& options) {
    if (entry.device) return entry.device.get();
    VKS_ASSIGN(entry.device, Device::open(*entry.plugin->table, entry.index, entry.id, host_, options));
    opened_.push_back(&entry);
    return entry.device.get();
}

Status Registry::replace(const std::string& plugin) {
    CHECK(!aside_, "{} is being replaced", aside_->file->name);
    const auto called = [&](const auto& file) {
        return file->table ? file->name == plugin : file->path.stem() == "libvkseek_" + plugin;
    };
    const auto at = std::find_if(plugins_.begin(), plugins_.end(), called);
    if (at == plugins_.end()) {
        std::string names;
        for (const auto& file : plugins_)
            if (file->table) names += (names.empty() ? "" : ", ") + file->name;
        return Error{Code::kNoBackend, fmt::format("plugin ({}): wanted one of {}, found another", plugin, names)};
    }
    auto file = std::make_unique<PluginFile>(load_plugin((*at)->path, Load::kPrivate));
    std::vector<std::unique_ptr<DeviceEntry>> devices;
    if (file->table && file->name != plugin)
        file->refusal = fmt::format("plugin name: wanted {}, found {}", plugin, file->name);
    if (file->refusal.empty()) devices = list_devices(*file);
    if (!file->refusal.empty())
        return Error{Code::kNoBackend, fmt::format("plugin ({}): {}", file->path.string(), file->refusal)};
    name_devices(*file, devices);
    aside_ = Aside{size_t(at - plugins_.begin()), std::move(*at), {}};
    aside_->devices = devices_.extract(aside_->file.get());
    devices_[file.get()] = std::move(devices);
    *at = std::move(file);
    return {};
}

std::vector<Device*> Registry::replaced() const {
    std::vector<Device*> open;
    if (!aside_->devices) return open;
    for (const auto& entry : aside_->devices.mapped())
        if (entry->device) open.push_back(entry->device.get());
    return open;
}

void Registry::close(Devices::node_type entries) {
    if (!entries) return;
    for (const auto& entry : entries.mapped()) std::erase(opened_, entry.get());
}

void Registry::retire() {
    close(std::move(aside_->devices));
    aside_.reset();
}

void Registry::restore() {
    std::unique_ptr<PluginFile>& file = plugins_[aside_->index];
    close(devices_.extract(file.get()));
    file = std::move(aside_->file);
    if (aside_->devices) devices_.insert(std::move(aside_->devices));
    aside_.reset();
}

std::string Registry::problem(DeviceEntry& entry) {
    if (entry.info.flags & VKS_DEVICE_UNUSABLE) return entry.info.detail;
    const auto device = open(entry, "");
    if (!device) return device.error().text;
    const Status moved = round_trip(**device);
    if (!moved) return moved.error().text;
    return (*device)->health_reason();
}

}  // namespace vks
