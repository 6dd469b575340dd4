// The engine after a device failed.
#include <algorithm>

#include "frontend/gen/engine.h"

namespace vks {

// Whether the device that a name means can't be used any more.
bool Engine::failed(const std::string& backend) {
    const auto entries = registry_->select(backend);
    return entries && std::all_of(entries->begin(), entries->end(), [](const DeviceEntry* entry) {
               return entry->device && entry->device->health() != Health::kOk;
           });
}

std::vector<Health> Engine::health() const {
    std::vector<Health> all;
    for (const DeviceEntry* entry : registry_->opened()) all.push_back(entry->device->health());
    return all;
}

Placement Engine::without_failed(Placement placement) {
    std::erase_if(placement.op_backend, [&](const auto& choice) { return failed(choice.second); });
    std::erase_if(placement.prefill, [&](const std::string& name) { return failed(name); });
    return placement;
}

Result<Swap> Engine::leave_failed(const Error& error) {
    if (error.code != Code::kNoBackend || (plans_->healthy() && !executor_->refused())) return error;
    for (;;) {
        const std::vector<Health> before = health();
        Placement without = without_failed(placement_);
        std::erase_if(without.backends, [&](const std::string& name) { return failed(name); });
        if (without.backends.empty()) without.backends = placement_.backends;  // planning says what is missing
        VKS_TRY(prepare(without));
        auto swap = commit();
        // Another device may have failed on the way.
        if (swap || health() == before) return swap;
    }
}

}  // namespace vks
