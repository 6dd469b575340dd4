// Fourth pass: temporaries share an arena. First fit over lifetimes, largest first: within a few percent of the peak on
// transformer graphs and independent of the order values were made in.
#include <algorithm>

#include "backend/plan/segment.h"

namespace vks {
namespace {

struct Life {
    ValueId value = kAbsent;
    size_t first = SIZE_MAX, last = 0;  // node indices, inclusive
    uint64_t bytes = 0, offset = 0;
};

std::vector<Life> lifetimes(const Graph& graph, const std::vector<Segment>& segments, size_t device) {
    std::vector<Life> lives(graph.values.size());
    std::vector<size_t> made(graph.values.size(), 0);
    const size_t end = graph.nodes.size();
    const auto extend = [&](ValueId id, size_t first, size_t last) {
        Life& life = lives[id];
        const Value& v = graph.values[id];
        if (v.kind == Kind::kInput) first = 0;
        if (v.kind == Kind::kInput || v.output) last = end;
        life.value = id;
        life.first = std::min(life.first, first);
        life.last = std::max(life.last, last);
    };
    for (const Segment& segment : segments) {
        // A transferred value arrives before its segment, and may arrive as soon as it is made.
        for (const Transfer& t : segment.before)
            if (t.to == device && graph.values[t.value].kind == Kind::kTemp)
                extend(t.value, made[t.value], segment.last);
        for (const Transfer& t : segment.before)
            if (t.from == device && graph.values[t.value].kind == Kind::kTemp)
                extend(t.value, made[t.value], segment.first);
        for (size_t i = segment.first; i < segment.last; ++i) {
            const Node& node = graph.nodes[i];
            for (size_t a = 0; a < node.args.size(); ++a) {
                const ValueId id = node.args[a];
                if (id == kAbsent) continue;
                if (a >= node.inputs) made[id] = i;
                const Kind kind = graph.values[id].kind;
                if (segment.device == device && (kind == Kind::kInput || kind == Kind::kTemp)) extend(id, i, i);
            }
        }
    }
    std::erase_if(lives, [](const Life& life) { return life.value == kAbsent; });
    return lives;
}

}  // namespace

Arena lay_out(const Graph& graph, const std::vector<Segment>& segments, size_t device, uint64_t alignment) {
    Arena arena;
    arena.offset.assign(graph.values.size(), kNoOffset);
    std::vector<Life> lives = lifetimes(graph, segments, device);
    for (Life& life : lives) {
        const uint64_t bytes = uint64_t(graph.max_bytes(graph.values[life.value]));
        life.bytes = (bytes + alignment - 1) / alignment * alignment;
    }
    std::sort(lives.begin(), lives.end(),
              [](const Life& a, const Life& b) { return a.bytes != b.bytes ? a.bytes > b.bytes : a.value < b.value; });
    std::vector<const Life*> placed;  // by offset
    for (Life& life : lives) {
        uint64_t at = 0;
        for (const Life* other : placed) {
            if (other->last < life.first || life.last < other->first) continue;
            if (at + life.bytes <= other->offset) break;
            at = std::max(at, other->offset + other->bytes);
        }
        life.offset = at;
        placed.insert(std::upper_bound(placed.begin(), placed.end(), at,
                                       [](uint64_t offset, const Life* l) { return offset < l->offset; }),
                      &life);
        arena.offset[life.value] = at;
        arena.bytes = std::max(arena.bytes, at + life.bytes);
    }
    return arena;
}

}  // namespace vks
