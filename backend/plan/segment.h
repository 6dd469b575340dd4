// Third and fourth planning passes: cut the graph into single-device runs, lay temporaries out in one arena per device.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/graph/graph.h"

namespace vks {

// A value that must be copied from device to device before a segment runs.
struct Transfer {
    ValueId value = kAbsent;
    size_t from = 0, to = 0;  // device indices
};

// Nodes [first, last) run on one device, after the transfers.
struct Segment {
    size_t device = 0;
    size_t first = 0, last = 0;
    std::vector<Transfer> before;
};

// `device_of`: a device index per node.
std::vector<Segment> cut_segments(const Graph& graph, const std::vector<size_t>& device_of);

constexpr uint64_t kNoOffset = UINT64_MAX;

// Offsets of inputs and temporaries in one device's arena (kNoOffset: not there), and its size.
struct Arena {
    std::vector<uint64_t> offset;  // by ValueId
    uint64_t bytes = 0;
};

// Values overlap only when their lifetimes do not; outputs and inputs live through the whole step.
Arena lay_out(const Graph& graph, const std::vector<Segment>& segments, size_t device, uint64_t alignment);

}  // namespace vks
