// What lives from step to step: the latent caches, by name, one copy per device that uses them. Canonical layout at
// every border: row-major [rows, width], so that a cache can move between plugins.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "backend/graph/graph.h"
#include "backend/registry/lane.h"

namespace vks {

// Not thread-safe. Must outlive every plan made over it.
class State {
public:
    // The device's copy of state `value`, created on first use; contents undefined until written.
    Result<Location> get(Device& device, const Graph& graph, const Value& value);
    uint64_t bytes(const Device& device) const;

    struct Copy {
        Device* device = nullptr;
        Location location;
        int64_t current =
            0;  // rows [0, current) are as the last step that wrote them left them; the executor's to keep
    };
    // Every device's copy of the state called `name`.
    std::vector<Copy>& copies(const std::string& name) { return states_[name].copies; }

private:
    struct Memory {
        uint64_t bytes = 0;
        std::vector<Buffer> buffers;
        std::vector<Copy> copies;  // in the buffers' order
    };
    std::map<std::string, Memory> states_;
};

}  // namespace vks
