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

Placement Engine::placement_without_failed() {
    Placement without = placement_;
    std::erase_if(without.op_backend, [&](const auto& choice) { return failed(choice.second); });
    std::erase_if(without.prefill, [&](const std::string& name) { return failed(name); });
    std::erase_if(without.backends, [&](const std::string& name) { return failed(name); });
    if (without.backends.empty()) without.backends = placement_.backends;  // planning says what is missing
    return without;
}

Result<Swap> Engine::leave_failed(const Error& error) {
    if (error.code != Code::kNoBackend || plans_->healthy()) return error;
    // What was being made is made over what is in force, and may want the devices that failed.
    const bool interrupted = building_ != nullptr;
    const Placement wanted = wanted_;
    const std::optional<Error> not_begun = not_begun_;
    const Placement without = placement_without_failed();
    for (;;) {
        const std::vector<Health> before = health();
        VKS_TRY(prepare(without));
        auto swap = commit();
        if (swap) {
            not_begun_ = not_begun;
            if (!interrupted) return swap;
            if (const Status again = prepare(wanted); !again) not_begun_ = again.error();
            return swap;
        }
        // Another device may have failed on the way.
        if (health() == before) return swap.error();
    }
}

}  // namespace vks
