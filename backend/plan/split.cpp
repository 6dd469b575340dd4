#include "backend/plan/split.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "backend/ops/experts.h"

namespace vks {
namespace {

using experts::kFirstWeight;
using experts::kOffset;

// A row of what it gives depends on that row alone, and zeros give zeros.
bool keeps_rows(const Node& node) {
    return node.op_name() == "swiglu_quant" || node.op_name() == "act_quant";
}

// Nodes that work on the lists of one layer's experts, in order.
struct Region {
    std::vector<size_t> nodes;
    std::set<ValueId> made;
    std::vector<bool> away;  // by expert
    ValueId exit = kAbsent;  // what the rest of the graph reads of it
    size_t reader = 0;       // the first node that does
};

class Splitter {
public:
    Splitter(const Graph& graph, const std::unordered_set<std::string>& away) : graph_(graph), away_(away) {}

    std::vector<Region> regions() const {
        std::map<ValueId, Region> by_list;  // by the value that says where each expert's rows begin
        for (size_t i = 0; i < graph_.nodes.size(); ++i)
            if (experts::has(graph_.nodes[i])) add(by_list[graph_.nodes[i].args[kOffset]], i);
        std::vector<Region> found;
        for (auto& [list, region] : by_list)
            if (std::ranges::find(region.away, true) != region.away.end() &&
                std::ranges::find(region.away, false) != region.away.end() && complete(region))
                found.push_back(std::move(region));
        return found;
    }

    Graph split(const std::vector<Region>& regions) const {
        Graph graph = graph_;
        graph.nodes.clear();
        for (size_t i = 0; i < graph_.nodes.size(); ++i) {
            Node node = graph_.nodes[i];
            for (const Region& region : regions) {
                if (region.reader == i) std::ranges::replace(node.args, region.exit, add_others(graph, region));
                if (std::ranges::find(region.nodes, i) != region.nodes.end()) keep(node, region, false);
            }
            graph.nodes.push_back(std::move(node));
        }
        return graph;
    }

private:
    // Another node with experts joins those of its list.
    void add(Region& region, size_t index) const {
        const Node& node = graph_.nodes[index];
        region.nodes.push_back(index);
        region.away.resize(std::max(region.away.size(), experts::count(node)));
        for (size_t a = kFirstWeight; a < node.inputs; ++a)
            if (node.args[a] != kAbsent && away_.contains(graph_.values[node.args[a]].name))
                region.away[(a - kFirstWeight) / 2] = true;
    }

    // Adds what lies between its nodes. False: the rest of the graph reads something that can't be put together.
    bool complete(Region& region) const {
        const std::set<size_t> with_experts(region.nodes.begin(), region.nodes.end());
        const size_t last = region.nodes.back();
        size_t readers = 0;
        std::vector<size_t> nodes;
        for (size_t i = region.nodes.front(); i < graph_.nodes.size(); ++i) {
            const Node& node = graph_.nodes[i];
            const auto reads = std::ranges::find_if(node.args.begin(), node.args.begin() + node.inputs,
                                                    [&](ValueId id) { return region.made.contains(id); });
            const bool depends = reads != node.args.begin() + node.inputs;
            if (with_experts.contains(i) || (depends && i < last)) {
                if (!with_experts.contains(i) && !keeps_rows(node)) return false;
                nodes.push_back(i);
                for (size_t a = node.inputs; a < node.args.size(); ++a)
                    if (node.args[a] != kAbsent) region.made.insert(node.args[a]);
            } else if (depends) {
                if (readers++ == 0) region.reader = i;
                if (region.exit != kAbsent && region.exit != *reads) return false;
                region.exit = *reads;
            }
        }
        region.nodes = std::move(nodes);
        const bool output = std::ranges::any_of(region.made, [&](ValueId id) { return graph_.values[id].output; });
        return !output && readers == 1 && region.exit == graph_.nodes[last].args.back();
    }

    // Leaves a node the experts that are there, or the others.
    static void keep(Node& node, const Region& region, bool others) {
        if (!experts::has(node)) return;
        for (size_t e = 0; e < region.away.size(); ++e)
            if (region.away[e] != others)
                node.args[kFirstWeight + 2 * e] = node.args[kFirstWeight + 2 * e + 1] = kAbsent;
    }

    // The run over the others and the sum, which takes the place of the first run's result. They come as late as can
    // be, so that another device has work meanwhile.
    ValueId add_others(Graph& graph, const Region& region) const {
        std::map<ValueId, ValueId> instead;
        const auto again = [&](ValueId id, const char* what) {
            Value value = graph_.values[id];
            value.name += what;
            graph.values.push_back(std::move(value));
            return static_cast<ValueId>(graph.values.size() - 1);
        };
        for (const size_t i : region.nodes) {
            Node node = graph_.nodes[i];
            node.name += " (others)";
            keep(node, region, true);
            for (size_t a = 0; a < node.args.size(); ++a) {
                if (a >= node.inputs && node.args[a] != kAbsent)
                    instead[node.args[a]] = again(node.args[a], " (others)");
                if (const auto other = instead.find(node.args[a]); other != instead.end()) node.args[a] = other->second;
            }
            graph.nodes.push_back(std::move(node));
        }
        Node sum;
        sum.op = "add/1";
        sum.name = graph_.nodes[region.nodes.back()].name + " (all)";
        sum.args = {region.exit, instead.at(region.exit), again(region.exit, " (all)")};
        sum.inputs = 2;
        const ValueId both = sum.args.back();
        graph.nodes.push_back(std::move(sum));
        return both;
    }

    const Graph& graph_;
    const std::unordered_set<std::string>& away_;
};

}  // namespace

std::shared_ptr<const Graph> split_experts(const std::shared_ptr<const Graph>& graph,
                                           const std::unordered_set<std::string>& away) {
    const Splitter splitter(*graph, away);
    const std::vector<Region> regions = splitter.regions();
    if (regions.empty()) return graph;
    Graph split = splitter.split(regions);
    const std::string problem = verify(split);
    CHECK(problem.empty(), "experts split: {}", problem);
    return std::make_shared<const Graph>(std::move(split));
}

}  // namespace vks
