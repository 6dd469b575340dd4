// What lives from step to step: the latent caches, by name, one copy per device that uses them. Canonical layout at
// every border: row-major [rows, width], so that a cache can move between plugins.
#pragma once
#include <map>
#include <string>

#include "backend/graph/graph.h"
#include "backend/registry/lane.h"

namespace vks {

// Not thread-safe. Must outlive every plan made over it.
class State {
public:
    // The device's copy of state `value`, created on first use; contents undefined until written.
    Result<Location> get(Device& device, const Graph& graph, const Value& value);
    uint64_t bytes(const Device& device) const;

private:
    struct Copy {
        Buffer buffer;
        Location location;
        uint64_t bytes = 0;
    };
    std::map<std::pair<std::string, const Device*>, Copy> copies_;
};

}  // namespace vks
