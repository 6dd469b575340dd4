// The engine under memory caps: which device has one, and how much of it is left for weights.
#include <algorithm>
#include <cstring>

#include "frontend/gen/device_room.h"
#include "frontend/gen/engine.h"
#include "frontend/gen/page_weights.h"

namespace vks {

// The open device that a cap's name means; null where no placement came to it yet.
Device* Engine::capped(const std::string& name) const {
    const auto entries = registry_->select(name);
    return entries ? entries->front()->device.get() : nullptr;
}

// What a cap leaves no room for needs a device that has it.
std::vector<std::string> Engine::with_fallback(std::vector<std::string> backends) {
    const auto own_memory = [](const auto& cap) { return cap.first != "cpu"; };
    const bool needed =
        std::ranges::any_of(options_.memory, own_memory) && backends != std::vector<std::string>{"auto"};
    if (needed && registry_->select("cpu")) backends.emplace_back("cpu");
    return backends;
}

ExpertStatistics& Engine::statistics() {
    if (!statistics_) {
        statistics_ = std::make_unique<ExpertStatistics>(*checkpoint_, options_.mtp);
        executor_->count_experts();
    }
    return *statistics_;
}

Status Engine::keep_within_caps(std::vector<PlanRequest>& requests) {
    slots_wanted_ = {};
    std::vector<MemoryCap> caps;
    for (const auto& [name, cap] : options_.memory) {
        Device* device = capped(name);
        if (device != nullptr && !device->has(VKS_DEVICE_HOST_MEMORY)) caps.push_back({device, cap});
    }
    if (caps.empty()) return {};
    std::vector<ModelPiece> pieces = checkpoint_pieces(*checkpoint_, options_.mtp);
    statistics().weigh(pieces);
    // Under --check slots would look like wrong numbers.
    VKS_ASSIGN(slots_wanted_, keep_within(pieces, caps, options_.check == 0, requests));
    for (const auto& [name, cap] : options_.memory) {
        const bool aside = std::ranges::any_of(requests, [&, device = capped(name)](const PlanRequest& request) {
            const Preference& p = request.preference;
            const auto away = p.away.find(device);
            return !p.cheapest && p.order.front() == device && away != p.away.end() && away->second->everything;
        });
        if (aside)
            warn(
                fmt::format("memory (--memory {}): wanted room for caches, activations and a weight, found {} bytes: "
                            "others do its work",
                            name, cap));
    }
    return {};
}

Replan Engine::replan() {
    if (!found_room_->replans()) return nullptr;
    return [this](const Shortage& shortage) { return found_room_->replan(shortage); };
}

// Of plans that have been made, where no cap says it.
void Engine::note_found_room() {
    if (!found_room_->limited()) return;
    static_cast<void>(statistics());
    if (slots_wanted_.second == 0) slots_wanted_ = found_room_->slots();
}

Status Engine::check_caps() const {
    for (const auto& [name, cap] : options_.memory)
        if (!registry_->select(name))
            return Error{Code::kUsage,
                         fmt::format("memory (--memory): wanted a device that can be used, found {}", name)};
    return {};
}

uint64_t Engine::bytes_beside_weights(const Device& device) const {
    uint64_t bytes = plans_->state.bytes(device);
    each_plan([&](const Plan& plan, const Part&) {
        for (const DevicePlan& d : plan.devices) bytes += d.device == &device ? d.arena_bytes : 0;
    });
    // These are no file's pages that could be given back.
    if (device.has(VKS_DEVICE_HOST_MEMORY)) bytes += checkpoint_->copied_bytes();
    return bytes;
}

std::set<const std::byte*> Engine::weights_on(const Device& device) const {
    std::set<const std::byte*> weights;
    each_plan([&](const Plan& plan, const Part&) {
        for (size_t i = 0; i < plan.report.size(); ++i) {
            if (plan.devices[plan.report[i].device].device != &device) continue;
            for (const ValueId id : plan.graph->nodes[i].args)
                if (id != kAbsent && plan.graph->values[id].kind == Kind::kWeight)
                    weights.insert(plan.graph->values[id].host);
        }
    });
    return weights;
}

void Engine::warn(std::string text) {
    if (std::ranges::find(warnings_, text) == warnings_.end()) warnings_.push_back(std::move(text));
}

// For the plans in force; another placement may have left a device with a cap aside.
void Engine::limit_memory() {
    for (const auto& [name, cap] : options_.memory) {
        Device* device = capped(name);
        if (device == nullptr || !device->has(VKS_DEVICE_HOST_MEMORY) || !plans_->uses(*device)) continue;
        const uint64_t taken = bytes_beside_weights(*device), budget = cap - std::min(cap, taken);
        auto paging = page_weights(*checkpoint_, *device, weights_on(*device), budget, options_.mtp);
        const uint64_t least = taken + (paging ? paging->least() : 0);
        if (cap < least) {
            warn(
                fmt::format("memory (--memory {}): wanted {} bytes for caches, activations{} and the largest weight, "
                            "found {}",
                            name, least, checkpoint_->copied_bytes() > 0 ? ", copies of weights" : "", cap));
        }
        if (paging == nullptr) continue;
        statistics().prepare(paging->pager());
        executor_->page(std::move(paging));
    }
}

// For the plans in force, after limit_memory().
void Engine::use_slots() {
    const auto [device, room] = slots_;
    if (room == 0 || !plans_->uses(*device)) return;
    // What pages weights says what is resident of the files.
    SlotMemory::Read read;
    if (Paging* paging = executor_->paging())
        read = [pager = &paging->pager()](const std::byte* from, std::byte* to, uint64_t bytes) -> Status {
            if (const auto range = pager->find(from)) return pager->copy(*range, to, bytes);
            std::memcpy(to, from, bytes);
            return {};
        };
    auto slots = std::make_unique<ExpertSlots>(*device, room, std::move(read));
    Status added;
    each_plan([&](const Plan& plan, const Part&) {
        if (added) added = slots->add(plan);
    });
    if (added) {
        executor_->use_slots(std::move(slots));
    } else {
        warn("slots for experts: " + added.error().text);
    }
}

void Engine::keep_statistics() {
    if (!statistics_) return;
    const auto uses = executor_->expert_uses()->take();
    if (uses.empty()) return;
    statistics_->add(uses);
    statistics_->save();
}

std::optional<SlotStats> Engine::slots() const {
    if (executor_->slots() == nullptr) return std::nullopt;
    return executor_->slots()->stats();
}

std::optional<PagerStats> Engine::paging() const {
    if (executor_->paging() == nullptr) return std::nullopt;
    return executor_->paging()->pager().stats();
}

}  // namespace vks
