// The engine between two steps: from one placement to another.
#include <algorithm>

#include "backend/base/clock.h"
#include "frontend/gen/engine.h"

namespace vks {
namespace {

DeviceBytes by_device(const MemoryUse& use) {
    DeviceBytes bytes;
    for (const auto& [piece, n] : use) bytes[piece.first->id()] += n;
    return bytes;
}

}  // namespace

Status Engine::prepare(const Placement& to) {
    abandon();
    VKS_ASSIGN(std::vector<PlanRequest> requests, requests(to));
    wanted_ = to;
    building_ = std::make_unique<PlanBuilder>(*plans_, std::move(requests), replan(), executor_->refused());
    return {};
}

Result<Swap> Engine::reload(const std::string& plugin) {
    abandon();
    VKS_TRY(registry_->replace(plugin));
    Device* trusted = nullptr;  // may be another one now
    const auto moved = [&]() -> Result<Swap> {
        if (checker_) {
            VKS_ASSIGN(trusted, trusted_device());
        }
        VKS_ASSIGN(std::vector<PlanRequest> requests, requests(placement_));
        wanted_ = placement_;
        const auto& old = registry_->replaced();
        const bool known = std::any_of(old.begin(), old.end(), [&](const Device* d) { return plans_->knows(*d); });
        building_ = std::make_unique<PlanBuilder>(*plans_, std::move(requests), replan(), known);
        return commit();
    };
    Result<Swap> swap = moved();
    if (swap) {
        if (checker_) checker_->trust(*trusted);
        registry_->retire();
    } else {
        registry_->restore();
    }
    return swap;
}

Result<Swap> Engine::commit() {
    if (!building_) return Error{Code::kNoBackend, "plans: nothing was prepared"};
    const auto start = Clock::now();
    Swap swap;
    swap.from = placement_;
    swap.to = wanted_;
    swap.before = swap.peak = swap.after = bytes_by_device();
    const auto building = std::move(building_);
    VKS_ASSIGN(std::unique_ptr<PlanSet> next, building->take());
    note_found_room();
    swap.build_seconds = building->seconds();
    swap.changed = next != nullptr;
    if (next) {
        MemoryUse use;
        plans_->count(use);
        next->count(use);
        swap.peak = by_device(use);
        if (const auto held = slots()) swap.peak[slots_.first->id()] += held->bytes;
        note_peak(swap.peak);
        const Result<HandOver> moved = executor_->hand_over(*plans_, *next);
        if (!moved) {
            executor_->keep_only(*plans_);
            return moved.error();
        }
        swap.moved_bytes = moved->bytes;
        swap.rows = rows_by_module(moved->rows);
        exchange(std::move(next));
        swap.after = bytes_by_device();
    }
    placement_ = wanted_;
    swap.seconds = seconds_since(start);
    return swap;
}

std::vector<int64_t> Engine::rows_by_module(const std::map<std::string, int64_t>& rows) const {
    std::vector<int64_t> least(modules_.size(), options_.context);
    for (size_t m = 0; m < modules_.size(); ++m) {
        const Plan& single = *plan(m, kSingle);
        for (const ValueId id : single.states) least[m] = std::min(least[m], rows.at(single.graph->values[id].name));
    }
    return least;
}

void Engine::exchange(std::unique_ptr<PlanSet> next) {
    executor_->keep_only(*next);
    for (Module& m : modules_) m.read = false;
    keep_statistics();
    executor_->use_slots(nullptr);
    executor_->page(nullptr);
    plans_ = std::move(next);
    row_bits_ = find_row_bits();
    limit_memory();
    slots_ = slots_wanted_;
    use_slots();
}

DeviceBytes Engine::bytes_by_device() const {
    MemoryUse use;
    plans_->count(use);
    DeviceBytes bytes = by_device(use);
    if (const Paging* paging = executor_->paging()) {
        bytes[paging->device().id()] = bytes_beside_weights(paging->device()) + this->paging()->peak_bytes;
    }
    if (const auto held = slots()) bytes[slots_.first->id()] += held->bytes;
    return bytes;
}

DeviceBytes Engine::peak_bytes() const {
    DeviceBytes peak = peak_;
    for (const auto& [id, n] : bytes_by_device()) peak[id] = std::max(peak[id], n);
    return peak;
}

void Engine::note_peak(const DeviceBytes& bytes) {
    for (const auto& [id, n] : bytes) peak_[id] = std::max(peak_[id], n);
}

}  // namespace vks
