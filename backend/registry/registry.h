// Which plugins there are, which devices they have, and which of those are open and healthy.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
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
    // Loads every plugin library in `dirs` and lists its devices. Refused libraries stay in plugins() with the reason.
    explicit Registry(const std::vector<std::filesystem::path>& dirs);
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    const std::vector<std::unique_ptr<PluginFile>>& plugins() const { return plugins_; }
    const std::vector<std::unique_ptr<DeviceEntry>>& devices() const { return devices_; }

    // The devices that `name` means: "vulkan" the first usable one of that plugin, "vulkan:1" that one, "auto" all
    // usable ones except software GPUs, accelerators before the CPU. Error when there is none, naming what there is.
    Result<std::vector<DeviceEntry*>> select(const std::string& name);
    // Opens the device if it is not. `options`: of vks_plugin.open.
    Result<Device*> open(DeviceEntry& entry, const std::string& options);
    // Why the device can't be used; empty when it can. Opens it and sends a few bytes there and back.
    std::string problem(DeviceEntry& entry);

private:
    std::string known_ids() const;

    vks_host host_{};
    std::vector<std::unique_ptr<PluginFile>> plugins_;
    std::vector<std::unique_ptr<DeviceEntry>> devices_;
    std::vector<DeviceEntry*> opened_;
};

}  // namespace vks
