#include "frontend/cli/bench_devices.h"

#include <algorithm>

namespace vks {

Result<std::vector<BenchDevice>> bench_devices(Registry& registry, const std::vector<std::string>& names) {
    std::vector<BenchDevice> list;
    for (const std::string& name : names) {
        VKS_ASSIGN(const auto entries, registry.select(name, "--backend"));
        for (const DeviceEntry* entry : entries) {
            const auto same = [&](const BenchDevice& d) { return d.id == entry->id; };
            if (std::none_of(list.begin(), list.end(), same))
                list.push_back({entry->id, entry->plugin->table, entry->index});
        }
    }
    return list;
}

Result<const vks_plugin*> reference_plugin(Registry& registry) {
    VKS_ASSIGN(const auto entries, registry.select("cpu", "the reference"));
    return entries.front()->plugin->table;
}

}  // namespace vks
