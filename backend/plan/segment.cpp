#include "backend/plan/segment.h"

#include <algorithm>
#include <set>

namespace vks {
namespace {

// What a run on another device waits for may be there before the run ahead of it is over: then that one is cut in two
// and the copies are made in between, so that both devices work at once. Worth it where the second part reads weights.
std::vector<Segment> side_by_side(const Graph& graph, std::vector<Segment> segments) {
    std::vector<size_t> made(graph.values.size(), 0);  // the node after the one that wrote it
    for (size_t i = 0; i < graph.nodes.size(); ++i)
        for (size_t a = graph.nodes[i].inputs; a < graph.nodes[i].args.size(); ++a)
            if (graph.nodes[i].args[a] != kAbsent) made[graph.nodes[i].args[a]] = i + 1;
    const auto has_weights = [&](size_t first, size_t last) {
        for (size_t i = first; i < last; ++i)
            for (const ValueId id : graph.nodes[i].args)
                if (id != kAbsent && graph.values[id].kind == Kind::kWeight) return true;
        return false;
    };
    std::vector<Segment> cut;
    for (Segment& segment : segments) {
        size_t ready = 0;
        for (const Transfer& t : segment.before) ready = std::max(ready, made[t.value]);
        if (!cut.empty()) ready = std::max(ready, cut.back().first);
        if (!cut.empty() && !segment.before.empty() && has_weights(ready, cut.back().last)) {
            Segment& ahead = cut.back();
            Segment rest = {ahead.device, ready, ahead.last, std::move(segment.before)};
            segment.before.clear();
            if (rest.first == ahead.first) {
                ahead.before.insert(ahead.before.end(), rest.before.begin(), rest.before.end());
            } else {
                ahead.last = rest.first;
                cut.push_back(std::move(rest));
            }
        }
        cut.push_back(std::move(segment));
    }
    return cut;
}

}  // namespace

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
    return side_by_side(graph, std::move(segments));
}

}  // namespace vks
