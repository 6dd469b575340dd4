#include "backend/plan/plan_set.h"

#include <algorithm>

#include "backend/base/clock.h"

namespace vks {
namespace {

bool placed_like(const Plan& plan, const PlanRequest& request) {
    const Preference& preference = request.preference;
    const auto places = place(*request.graph, preference, ask_support(*request.graph, preference), {});
    if (!places) return false;
    for (size_t i = 0; i < places->size(); ++i)
        if (preference.order[(*places)[i].device] != plan.devices[plan.report[i].device].device) return false;
    return true;
}

// A graph that was split for a cap is made anew with each request; values follow from the nodes.
bool same(const std::shared_ptr<const Graph>& a, const std::shared_ptr<const Graph>& b) {
    const auto equal = [](const Node& x, const Node& y) {
        return x.name == y.name && x.op == y.op && x.params == y.params && x.args == y.args;
    };
    return a == b || (a && b && a->keep == b->keep && a->name == b->name && a->max == b->max &&
                      std::ranges::equal(a->nodes, b->nodes, equal));
}

}  // namespace

PlanSet::PlanSet(const PlanSet* earlier) {
    if (!earlier) return;
    state = State::after(earlier->state);
    for (const auto& [device, store] : earlier->weights_)
        weights_[device] = std::make_unique<WeightStore>(*device, store.get());
}

Status PlanSet::make(std::vector<PlanRequest> requests, const std::atomic<bool>* stop,
                     std::optional<Shortage>* shortage) {
    requests_ = std::move(requests);
    std::vector<std::unique_ptr<PlanMaker>> makers;
    for (const PlanRequest& request : requests_)
        makers.push_back(request.graph ? std::make_unique<PlanMaker>(request.graph, request.preference, weights_, state,
                                                                     shortage != nullptr, stop)
                                       : nullptr);
    Status made = make(makers);
    if (!made) {
        for (const auto& maker : makers)
            if (maker && maker->full()) *shortage = shortage_of(*maker->full(), makers);
        return made;
    }
    std::set<const vks_buffer*> used;
    for (const auto& plan : plans_)
        if (plan) used.insert(plan->shared.begin(), plan->shared.end());
    state.settle(used);
    std::erase_if(weights_, [&](const auto& entry) {
        entry.second->settle(used);
        return entry.second->empty();
    });
    return {};
}

// Weights come last: what one plan leaves out for want of memory the others lack, too, and so they stay alike.
Status PlanSet::make(std::span<const std::unique_ptr<PlanMaker>> makers) {
    for (const auto& maker : makers)
        if (maker) VKS_TRY(maker->begin());
    for (const auto& maker : makers) {
        std::shared_ptr<const Plan> plan;
        if (maker) {
            VKS_ASSIGN(plan, maker->finish());
        }
        plans_.push_back(std::move(plan));
    }
    return {};
}

Shortage PlanSet::shortage_of(Device& device, std::span<const std::unique_ptr<PlanMaker>> makers) const {
    MemoryUse use;
    count(use);
    for (const auto& maker : makers)
        if (maker) maker->count(use);
    Shortage shortage{&device, 0};
    for (const auto& [piece, bytes] : use) shortage.held += piece.first == &device ? bytes : 0;
    return shortage;
}

template <class F>
bool PlanSet::every_device(F holds) const {
    for (const auto& plan : plans_) {
        if (!plan) continue;
        for (const Segment& segment : plan->segments)
            if (!holds(*plan->devices[segment.device].device)) return false;
    }
    return true;
}

bool PlanSet::healthy() const {
    return every_device([](const Device& d) { return d.health() == Health::kOk; });
}

bool PlanSet::trusted() const {
    return every_device([](const Device& d) { return !d.was_wrong(); });
}

bool PlanSet::satisfies(std::span<const PlanRequest> requests) const {
    if (!healthy() || requests.size() != requests_.size()) return false;
    // Where a kernel could not be prepared, a node isn't where placing it anew would have it.
    if (std::equal(requests.begin(), requests.end(), requests_.begin())) return true;
    for (size_t i = 0; i < requests.size(); ++i) {
        if (!same(requests[i].graph, requests_[i].graph)) return false;
        if (requests[i].graph && !placed_like(*plans_[i], requests[i])) return false;
    }
    return true;
}

bool PlanSet::has(const Plan& plan) const {
    return std::any_of(plans_.begin(), plans_.end(), [&](const auto& held) { return held.get() == &plan; });
}

bool PlanSet::knows(const Device& device) const {
    return std::any_of(requests_.begin(), requests_.end(), [&](const PlanRequest& request) {
        const std::vector<Device*>& order = request.preference.order;
        return std::find(order.begin(), order.end(), &device) != order.end();
    });
}

bool PlanSet::uses(const Device& device) const {
    return !every_device([&](const Device& d) { return &d != &device; });
}

void PlanSet::count(MemoryUse& use) const {
    state.count(use);
    for (const auto& [device, store] : weights_) store->count(use);
    for (const auto& plan : plans_)
        if (plan) plan->count(use);
}

Result<std::unique_ptr<PlanSet>> make_plans(const PlanSet* earlier, std::vector<PlanRequest> requests, Replan replan,
                                            const std::atomic<bool>* stop) {
    for (;;) {
        auto set = std::make_unique<PlanSet>(earlier);
        std::optional<Shortage> shortage;
        const Status made = set->make(requests, stop, replan ? &shortage : nullptr);
        if (made) return set;
        if (!shortage) return made.error();
        set.reset();  // what follows gets its memory
        if (auto other = replan(*shortage)) {
            requests = *std::move(other);
        } else {
            replan = nullptr;
        }
    }
}

PlanBuilder::PlanBuilder(const PlanSet& in_force, std::vector<PlanRequest> requests, Replan replan, bool anew) {
    done_ = std::async(std::launch::async,
                       [this, &in_force, anew, requests = std::move(requests), replan = std::move(replan)]() mutable {
                           const auto start = Clock::now();
                           Result<std::unique_ptr<PlanSet>> set = std::unique_ptr<PlanSet>();
                           if (anew || !in_force.satisfies(requests))
                               set = make_plans(&in_force, std::move(requests), std::move(replan), &stop_);
                           seconds_ = seconds_since(start);
                           return set;
                       });
}

PlanBuilder::~PlanBuilder() {
    stop_ = true;
    if (done_.valid()) done_.wait();
}

Result<std::unique_ptr<PlanSet>> PlanBuilder::take() {
    return done_.get();
}

}  // namespace vks
