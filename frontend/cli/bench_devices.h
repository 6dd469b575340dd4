// Devices that benchmarks call by themselves, without an engine.
#pragma once
#include <string>
#include <vector>

#include "backend/registry/registry.h"

namespace vks {

struct BenchDevice {
    std::string id;
    const vks_plugin* plugin = nullptr;
    uint32_t index = 0;
};

// Every device that the names mean, once each, in their order.
Result<std::vector<BenchDevice>> bench_devices(Registry& registry, const std::vector<std::string>& names);
// The CPU plugin, whose plain version is the reference. Error: there is none.
Result<const vks_plugin*> reference_plugin(Registry& registry);

}  // namespace vks
