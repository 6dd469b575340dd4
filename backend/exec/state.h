// What lives from step to step: the latent caches, by name, one copy per device that uses them. Canonical layout at
// every border: row-major [rows, width], so that a cache can move between plugins.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/graph/graph.h"
#include "backend/registry/lane.h"

namespace vks {

// Not thread-safe. Must outlive every plan made over it.
class State {
public:
    // Takes from `earlier` what get() asks for and that one has: both then hold the same memory, and rows written
    // through either are the other's, too. Reads nothing of `earlier` later.
    static State after(const State& earlier);
    State() = default;
    State(State&&) = default;
    State& operator=(State&&) = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() = default;
    // Nothing more will be taken from an earlier one, and copies that aren't among `used` are for nobody.
    void settle(const std::set<const vks_buffer*>& used);

    // The device's copy of state `value`, created on first use; contents undefined until written.
    Result<Location> get(Device& device, const Graph& graph, const Value& value);
    uint64_t bytes(const Device& device) const;
    void count(MemoryUse& use) const;

    struct Copy {
        Device* device = nullptr;
        Buffer buffer;
        Location location;
        int64_t current =
            0;  // rows [0, current) are as the last step that wrote them left them; the executor's to keep
    };
    struct Memory {
        uint64_t bytes = 0, row_bytes = 0;
        std::vector<std::shared_ptr<Copy>> copies;  // one a device
    };
    // Every device's copy of the state called `name`.
    Memory& of(const std::string& name) { return states_[name]; }
    std::map<std::string, Memory>& all() { return states_; }

private:
    std::map<std::string, Memory> states_, earlier_;
};

}  // namespace vks
