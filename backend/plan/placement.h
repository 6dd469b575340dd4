// Which device runs which node, and why. First two planning passes: support, place.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "backend/graph/graph.h"
#include "backend/registry/device.h"

namespace vks {

// What a device has no room for: nodes that read one of `weights`, by name, run elsewhere, and so do those that work on
// what they give and have no weights, or a state.
struct Away {
    bool everything = false;
    std::unordered_set<std::string> weights;
};

// What the user wants. Devices are borrowed and open.
struct Preference {
    std::vector<Device*> order;             // every device that may be used
    size_t general = 0;                     // the first so many serve any node, the rest only what per_op names
    bool cheapest = false;                  // pick by cost; else the first of `order` that supports the node
    std::map<std::string, Device*> per_op;  // "mla_attention" -> the device it must run on
    std::map<const Device*, std::shared_ptr<const Away>> away;  // of devices with a memory cap
    bool operator==(const Preference&) const = default;
};

// Every device's answer about every node: table[node][i] for order[i].
using SupportTable = std::vector<std::vector<Support>>;

struct NodePlace {
    size_t device = 0;   // index into Preference::order
    std::string reason;  // one line, for --explain
};

// The op a plugin is asked about: maxima as negative first dims, weights flagged constant. `args` is its storage.
vks_op describe(const Graph& graph, const Node& node, std::vector<vks_tensor>& args);
vks_tensor describe(const Graph& graph, const Value& value);

// Asks every healthy device about every node. Equal questions are asked once.
SupportTable ask_support(const Graph& graph, const Preference& preference);
// What the nodes that are on `device` need beside their arguments.
uint64_t most_scratch(const SupportTable& table, const std::vector<size_t>& device_of, size_t device);

// (node, device index) pairs that failed to prepare.
using Barred = std::set<std::pair<size_t, size_t>>;

// Error (kNoBackend) when a node has no device: names the operator and each device's reason.
Result<std::vector<NodePlace>> place(const Graph& graph, const Preference& preference, const SupportTable& table,
                                     const Barred& barred);

}  // namespace vks
