// The engine under memory caps: which device has one, and how much of it is left for weights.
#include <algorithm>

#include "frontend/gen/engine.h"
#include "frontend/gen/page_weights.h"

namespace vks {

// The device of the plans that has this id, if it computes in host memory; else null.
Device* Engine::host_device(const std::string& id) const {
    for (size_t m = 0; m < modules_.size(); ++m) {
        for (const Size size : {kChunk, kFew, kSingle}) {
            if (plan(m, size) == nullptr) continue;
            for (const DevicePlan& d : plan(m, size)->devices)
                if (d.device->id() == id && d.device->has(VKS_DEVICE_HOST_MEMORY)) return d.device;
        }
    }
    return nullptr;
}

Status Engine::check_caps() const {
    for (const auto& [name, cap] : options_.memory) {
        if (host_device(name) != nullptr) continue;
        return Error{Code::kUsage, fmt::format("memory (--memory): wanted a device of this run that computes in host "
                                               "memory, found {}",
                                               name)};
    }
    return {};
}

uint64_t Engine::bytes_beside_weights(const Device& device) const {
    uint64_t bytes = plans_->state.bytes(device);
    for (size_t m = 0; m < modules_.size(); ++m) {
        for (const Size size : {kChunk, kFew, kSingle}) {
            if (plan(m, size) == nullptr) continue;
            for (const DevicePlan& d : plan(m, size)->devices) bytes += d.device == &device ? d.arena_bytes : 0;
        }
    }
    return bytes;
}

// For the plans in force; another placement may have left a device with a cap aside.
void Engine::limit_memory() {
    warnings_.clear();
    for (const auto& [name, cap] : options_.memory) {
        Device* device = host_device(name);
        if (device == nullptr) continue;
        const uint64_t taken = bytes_beside_weights(*device), budget = cap - std::min(cap, taken);
        auto paging = page_weights(*checkpoint_, *device, budget, options_.mtp);
        if (paging == nullptr) continue;
        if (budget < paging->least()) {
            warnings_.push_back(
                fmt::format("memory (--memory {}): wanted {} bytes for caches, activations and the "
                            "largest weight, found {}",
                            name, taken + paging->least(), cap));
        }
        executor_->page(std::move(paging));
    }
}

std::optional<PagerStats> Engine::paging() const {
    if (executor_->paging() == nullptr) return std::nullopt;
    return executor_->paging()->pager().stats();
}

}  // namespace vks
