// Plans made together over the same states and weights - a model's graphs for prompt and single tokens - and all they
// hold. Another set can be made beside the one in force; what both need is there once.
#pragma once
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>

#include "backend/plan/plan.h"

namespace vks {

// A graph and where it should run. No graph, no plan.
struct PlanRequest {
    std::shared_ptr<const Graph> graph;
    Preference preference;
    bool operator==(const PlanRequest&) const = default;
};

// A device that refused memory, and how much plans in the making held there then.
struct Shortage {
    Device* device = nullptr;
    uint64_t held = 0;
};

// Not thread-safe, and never moved: its plans know it.
class PlanSet {
public:
    // `earlier`: what memory may be shared with. Read only here.
    explicit PlanSet(const PlanSet* earlier = nullptr);
    PlanSet(const PlanSet&) = delete;
    PlanSet& operator=(const PlanSet&) = delete;
    ~PlanSet() = default;

    // Once, from any thread; slow. Gives up between two weights once `stop` is set. Only what the plans use stays in
    // memory. `shortage`: gives up, too, where a device refuses memory, and says which; else those nodes go elsewhere.
    Status make(std::vector<PlanRequest> requests, const std::atomic<bool>* stop = nullptr,
                std::optional<Shortage>* shortage = nullptr);
    // Whether making `requests` anew would give the same: each node on the device that it is on. Asks devices.
    bool satisfies(std::span<const PlanRequest> requests) const;

    const std::shared_ptr<const Plan>& plan(size_t request) const { return plans_[request]; }
    bool has(const Plan& plan) const;
    bool knows(const Device& device) const;  // it was among those that could be used
    bool uses(const Device& device) const;   // it runs a node
    bool healthy() const;                    // all devices that run a node are
    bool trusted() const;                    // none of them was found to give wrong numbers
    void count(MemoryUse& use) const;        // weights, states, arenas

    State state;

private:
    Status make(std::span<const std::unique_ptr<PlanMaker>> makers);
    Shortage shortage_of(Device& device, std::span<const std::unique_ptr<PlanMaker>> makers) const;
    // Of those that run a node.
    template <class F>
    bool every_device(F holds) const;

    WeightStores weights_;
    std::vector<PlanRequest> requests_;
    std::vector<std::shared_ptr<const Plan>> plans_;  // by request
};

// What to ask for instead after a shortage. An error: nothing else; nodes without memory go elsewhere then.
using Replan = std::function<Result<std::vector<PlanRequest>>(const Shortage&)>;

// PlanSet::make() until no device refuses memory, or `replan` has nothing else. Any thread, as `replan` then is.
Result<std::unique_ptr<PlanSet>> make_plans(const PlanSet* earlier, std::vector<PlanRequest> requests, Replan replan,
                                            const std::atomic<bool>* stop = nullptr);

// A set in the making, on a thread of its own, while another is in force.
class PlanBuilder {
public:
    // `in_force` must outlive the builder; its plans may run meanwhile.
    // `replan` is called on the builder's thread. `anew`: also where the set in force satisfies them.
    PlanBuilder(const PlanSet& in_force, std::vector<PlanRequest> requests, Replan replan, bool anew = false);
    // Gives up, and waits until it has.
    ~PlanBuilder();
    PlanBuilder(const PlanBuilder&) = delete;
    PlanBuilder& operator=(const PlanBuilder&) = delete;

    // Waits. Null: the set in force satisfies the requests. Once.
    Result<std::unique_ptr<PlanSet>> take();
    double seconds() const { return seconds_; }  // that it took, after take()

private:
    std::atomic<bool> stop_{false};
    double seconds_ = 0;
    std::future<Result<std::unique_ptr<PlanSet>>> done_;  // the last member: its end is waited for first
};

}  // namespace vks
