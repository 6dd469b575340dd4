// How often each expert was routed to, by the lists that go through host memory: of experts that the node itself has,
// and of those of its layer that another device has.
#pragma once
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend/plan/plan.h"

namespace vks {

class ExpertUses {
public:
    // Before a node's launch, once what came before it is done. A layer's list is counted once a step.
    void count(const Plan& plan, size_t node);
    // Whether count() would look at what the device has written.
    bool counts(const Plan& plan, size_t node) { return list_of(plan, node) != nullptr; }
    // Since the last time, by the address of one of the expert's weights.
    std::unordered_map<const std::byte*, uint64_t> take() { return std::exchange(uses_, {}); }
    // Plans that it has seen are about to go.
    void forget() { lists_.clear(); }

private:
    struct List {
        const int32_t* offset = nullptr;        // where each expert's rows begin
        std::vector<const std::byte*> weights;  // of each expert one
    };
    const List* list_of(const Plan& plan, size_t node);
    static std::map<size_t, List> lists_of(const Plan& plan);

    std::map<const Plan*, std::map<size_t, List>> lists_;  // by the node that is counted
    std::unordered_map<const std::byte*, uint64_t> uses_;
};

}  // namespace vks
