// Second pass: one device per node. By preference order, or by cost as a shortest path over the topological order:
// exact on a chain, and a transformer nearly is one.
#include <algorithm>
#include <limits>

#include "backend/ops/rule.h"
#include "backend/plan/placement.h"

namespace vks {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Used where a device doesn't say: an accelerator's memory, a slow CPU's, a PCIe 3 x8 link, a submit and a fence.
constexpr double kUnknownMemory = 400e9, kUnknownFallback = 10e9, kUnknownLink = 8e9, kHandoverNs = 20'000;

struct Placer {
    const Graph& graph;
    const Preference& preference;
    const SupportTable& table;
    const Barred& barred;

    size_t devices() const { return preference.order.size(); }
    const std::string& id(size_t d) const { return preference.order[d]->id(); }
    bool supports(size_t node, size_t d) const {
        const bool allowed = d < preference.general || named(node) == d;
        return allowed && table[node][d].ok && !barred.contains({node, d});
    }

    // The device the user named for this op, or devices().
    size_t named(size_t node) const {
        const auto it = preference.per_op.find(graph.nodes[node].op_name());
        if (it == preference.per_op.end()) return devices();
        const auto at = std::find(preference.order.begin(), preference.order.end(), it->second);
        return size_t(at - preference.order.begin());
    }

    const std::string& refusal(size_t node, size_t d) const {
        static const std::string kBarred = "prepare failed";
        return table[node][d].ok ? kBarred : table[node][d].reason;
    }

    std::string refusals(size_t node) const {
        std::string text;
        for (size_t d = 0; d < devices(); ++d) {
            if (supports(node, d) || (d >= preference.general && named(node) != d)) continue;
            text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", id(d), refusal(node, d));
        }
        return text.empty() ? "no device" : text;
    }

    Error nobody(size_t node) const {
        return {Code::kNoBackend, fmt::format("operator {} ({}): wanted a backend that supports it, found none ({})",
                                              graph.nodes[node].op_name(), graph.nodes[node].name, refusals(node))};
    }

    double node_ns(size_t node, size_t d) const {
        if (table[node][d].est_ns) return double(table[node][d].est_ns);
        const Device& device = *preference.order[d];
        const uint64_t rate = device.info().memory_bytes_per_s;
        const double unknown = device.has(VKS_DEVICE_FALLBACK) ? kUnknownFallback : kUnknownMemory;
        const Cost cost = node_cost(graph, graph.nodes[node], graph.max);
        return double(cost.bytes) * 1e9 / (rate ? double(rate) : unknown);
    }

    // What moving this node's inputs from device a to b costs.
    double move_ns(size_t node, size_t a, size_t b) const {
        if (a == b) return 0;
        int64_t bytes = 0;
        const Node& n = graph.nodes[node];
        for (uint32_t i = 0; i < n.inputs; ++i)
            if (n.args[i] != kAbsent && graph.values[n.args[i]].kind == Kind::kTemp)
                bytes += graph.max_bytes(graph.values[n.args[i]]);
        double link = kUnknownLink;
        for (const size_t d : {a, b})
            if (const uint64_t l = preference.order[d]->info().link_bytes_per_s) link = std::min(link, double(l));
        return kHandoverNs + double(bytes) * 1e9 / link;
    }

    Result<NodePlace> by_order(size_t node) const {
        for (size_t d = 0; d < devices(); ++d) {
            if (!supports(node, d)) continue;
            if (d == 0) return NodePlace{d, devices() == 1 ? "the only device" : "first choice"};
            return NodePlace{d, "first that supports it (" + refusals(node) + ")"};
        }
        return nobody(node);
    }

    Result<std::vector<NodePlace>> by_cost() const;
};

Result<std::vector<NodePlace>> Placer::by_cost() const {
    const size_t nodes = graph.nodes.size(), width = devices();
    std::vector<std::vector<double>> best(nodes, std::vector<double>(width, kNever));
    std::vector<std::vector<size_t>> from(nodes, std::vector<size_t>(width, 0));
    for (size_t i = 0; i < nodes; ++i) {
        bool reachable = false;
        const size_t only = named(i);
        for (size_t d = 0; d < width; ++d) {
            if (!supports(i, d) || (only < width && only != d)) continue;
            for (size_t before = 0; before < width; ++before) {
                const double path = i == 0 ? 0 : best[i - 1][before] + move_ns(i, before, d);
                if (path + node_ns(i, d) < best[i][d]) {
                    best[i][d] = path + node_ns(i, d);
                    from[i][d] = before;
                }
            }
            reachable = reachable || best[i][d] < kNever;
        }
        if (!reachable) return nobody(i);
    }
    std::vector<NodePlace> places(nodes);
    if (nodes == 0) return places;
    size_t d = size_t(std::min_element(best.back().begin(), best.back().end()) - best.back().begin());
    for (size_t i = nodes; i-- > 0; d = from[i][d]) {
        places[i].device = d;
        places[i].reason = fmt::format("cheapest path, {:.1f} us here", node_ns(i, d) / 1e3);
        for (size_t other = 0; other < preference.general; ++other)
            if (other != d)
                places[i].reason += supports(i, other)
                                        ? fmt::format("; {}: {:.1f} us", id(other), node_ns(i, other) / 1e3)
                                        : fmt::format("; {}: {}", id(other), refusal(i, other));
        if (i == 0) break;
    }
    return places;
}

}  // namespace

Result<std::vector<NodePlace>> place(const Graph& graph, const Preference& preference, const SupportTable& table,
                                     const Barred& barred) {
    const Placer placer{graph, preference, table, barred};
    std::vector<NodePlace> places;
    if (preference.cheapest && placer.devices() > 1) {
        VKS_ASSIGN(places, placer.by_cost());
    } else {
        for (size_t i = 0; i < graph.nodes.size(); ++i) {
            VKS_ASSIGN(NodePlace one, placer.named(i) < placer.devices() ? NodePlace{} : placer.by_order(i));
            places.push_back(std::move(one));
        }
    }
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const size_t only = placer.named(i);
        if (only >= placer.devices()) continue;
        if (!placer.supports(i, only)) return placer.nobody(i);
        places[i] = {only, fmt::format("--op {}={}", graph.nodes[i].op_name(), placer.id(only))};
    }
    return places;
}

}  // namespace vks
