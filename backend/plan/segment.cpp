#include "backend/plan/segment.h"

#include <algorithm>
#include <set>

namespace vks {

std::vector<Segment> cut_segments(const Graph& graph, const std::vector<size_t>& device_of) {
    std::vector<Segment> segments;
    // Where each value's newest contents are; inputs and weights are everywhere they are needed.
    std::vector<std::set<size_t>> valid(graph.values.size());
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const size_t d = device_of[i];
        if (segments.empty() || segments.back().device != d) segments.push_back({d, i, i, {}});
        Segment& segment = segments.back();
        segment.last = i + 1;
        const Node& node = graph.nodes[i];
        for (size_t a = 0; a < node.args.size(); ++a) {
            const ValueId id = node.args[a];
            if (id == kAbsent) continue;
            const Kind kind = graph.values[id].kind;
            if (kind == Kind::kInput || kind == Kind::kWeight) continue;
            if (a >= node.inputs) {
                valid[id] = {d};
            } else if (!valid[id].empty() && !valid[id].contains(d)) {
                segment.before.push_back({id, *valid[id].begin(), d});
                valid[id].insert(d);
            }
        }
    }
    return segments;
}

}  // namespace vks
