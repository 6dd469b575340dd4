// Which plugins there are, which devices they have, and which of those are open and healthy.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/registry/device.h"
#include "backend/registry/loader.h"

namespace vks {

// A device as its plugin lists it, open or not.
struct DeviceEntry {
    std::string id;  // "cpu", or "vulkan:1" where the plugin has several
    const PluginFile* plugin = nullptr;
    uint32_t index = 0;
    vks_info info{};
    std::unique_ptr<Device> device;  // set by open()
};

// Not thread-safe: scan and open belong to one thread. Devices close in reverse order of opening.
class Registry {
public:
    // Loads every plugin library in `dirs`. A plugin is asked for its devices when they are needed: a GPU's drivers are
    // not started for a run on the CPU.
    explicit Registry(const std::vector<std::filesystem::path>& dirs);
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // Every library found; refused ones with the reason.
    const std::vector<std::unique_ptr<PluginFile>>& plugins();
    // Of all plugins, in their order.
    std::vector<DeviceEntry*> devices();
    const std::vector<DeviceEntry*>& opened() const { return opened_; }  // in the order of opening

    // The devices that `name` means: "vulkan" the first usable one of that plugin, "vulkan:1" that one, "auto" all
    // usable ones except software GPUs, accelerators before the CPU. Error when there is none, naming what there is;
    // `option` is what gave the name, for the message, empty where the caller says that.
    Result<std::vector<DeviceEntry*>> select(const std::string& name, std::string_view option = {});
    // Opens the device if it is not. `options`: of vks_plugin.open.
    Result<Device*> open(DeviceEntry& entry, const std::string& options);
    // Loads a plugin's library anew, as its file is now, beside the one in use: from here on its names mean the devices
    // of the new one. Then either retire() or restore(). An error, such as a file that is refused, changes nothing.
    Status replace(const std::string& plugin);
    // The devices of the library that replace() put aside, as far as they were open.
    std::vector<Device*> replaced() const;
    // Closes what replace() put aside; nothing uses it any more.
    void retire();
    // Closes what replace() brought and puts the old back; nothing uses the new.
    void restore();

    // Why the device can't be used; empty when it can. Opens it and sends a few bytes there and back.
    std::string problem(DeviceEntry& entry);

private:
    using Devices = std::map<const PluginFile*, std::vector<std::unique_ptr<DeviceEntry>>>;
    std::vector<std::unique_ptr<DeviceEntry>>& devices_of(PluginFile& file);
    std::string known_ids();
    void close(Devices::node_type entries);

    vks_host host_{};
    std::vector<std::unique_ptr<PluginFile>> plugins_;
    Devices devices_;  // of those asked
    std::vector<DeviceEntry*> opened_;
    struct Aside {
        size_t index = 0;  // in plugins_
        std::unique_ptr<PluginFile> file;
        Devices::node_type devices;  // of devices_, empty where it was not asked
    };
    std::optional<Aside> aside_;
};

}  // namespace vks
