// Plans made together over the same states and weights - a model's graphs for prompt and single tokens - and all they
// hold. Another set can be made beside the one in force; what both need is there once.
#pragma once
#include <atomic>
#include <future>
#include <span>

#include "backend/plan/plan.h"

namespace vks {

// A graph and where it should run. No graph, no plan.
struct PlanRequest {
    std::shared_ptr<const Graph> graph;
    Preference preference;
    bool operator==(const PlanRequest&) const = default;
};

// Not thread-safe, and never moved: its plans know it.
class PlanSet {
public:
    // `earlier`: what memory may be shared with. Read only here.
    explicit PlanSet(const PlanSet* earlier = nullptr);
    PlanSet(const PlanSet&) = delete;
    PlanSet& operator=(const PlanSet&) = delete;
    ~PlanSet() = default;

    // Once, from any thread; slow. Gives up between two plans once `stop` is set. Only what the plans use stays in
    // memory.
    Status make(std::vector<PlanRequest> requests, const std::atomic<bool>* stop = nullptr);
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
    // Of those that run a node.
    template <class F>
    bool every_device(F holds) const;

    WeightStores weights_;
    std::vector<PlanRequest> requests_;
    std::vector<std::shared_ptr<const Plan>> plans_;  // by request
};

// A set in the making, on a thread of its own, while another is in force.
class PlanBuilder {
public:
    // `in_force` must outlive the builder; its plans may run meanwhile.
    // `anew`: also where the set in force satisfies them.
    PlanBuilder(const PlanSet& in_force, std::vector<PlanRequest> requests, bool anew = false);
    // Gives up, and waits until it has.
    ~PlanBuilder();
    PlanBuilder(const PlanBuilder&) = delete;
    PlanBuilder& operator=(const PlanBuilder&) = delete;

    // Waits. Null: the set in force satisfies the requests. Once.
    Result<std::unique_ptr<PlanSet>> take();
    double seconds() const { return seconds_; }  // that it took, after take()

private:
    std::unique_ptr<PlanSet> set_;
    std::atomic<bool> stop_{false};
    double seconds_ = 0;
    std::future<Status> done_;  // the last member: its end is waited for first
};

}  // namespace vks
