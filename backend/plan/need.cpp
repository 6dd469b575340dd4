#include "backend/plan/need.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace vks {
namespace {

class Counter {
public:
    explicit Counter(Device& device) : device_(device) {}

    Status add(const PlanRequest& request) {
        const Preference& preference = request.preference;
        const auto at = std::ranges::find(preference.order, &device_);
        if (at == preference.order.end()) return {};
        const auto here = static_cast<size_t>(at - preference.order.begin());
        const Graph& graph = *request.graph;
        const SupportTable table = ask_support(graph, preference);
        VKS_ASSIGN(const std::vector<NodePlace> places, place(graph, preference, table, {}));
        std::vector<size_t> device_of;
        device_of.reserve(places.size());
        for (const NodePlace& place : places) device_of.push_back(place.device);
        const Arena arena = lay_out(graph, cut_segments(graph, device_of), here, device_.info().alignment);
        need_.activations += arena.bytes + most_scratch(table, device_of, here);
        for (size_t i = 0; i < graph.nodes.size(); ++i)
            if (device_of[i] == here) count(graph, graph.nodes[i], table[i][here]);
        return {};
    }

    MemoryNeed take() {
        for (const auto& [key, bytes] : weights_) need_.weights += bytes;
        for (const auto& [name, bytes] : states_) need_.states += bytes;
        return need_;
    }

private:
    void count(const Graph& graph, const Node& node, const Support& support) {
        for (size_t a = 0; a < node.args.size(); ++a) {
            if (node.args[a] == kAbsent) continue;
            const Value& value = graph.values[node.args[a]];
            if (value.kind == Kind::kState) states_[value.name] = static_cast<uint64_t>(graph.max_bytes(value));
            if (value.kind != Kind::kWeight) continue;
            const uint32_t layout = support.arg_layout[a];
            weights_[{value.host, value.dtype, layout}] = weight_bytes(device_, graph, value, layout);
        }
    }

    Device& device_;
    MemoryNeed need_;
    std::map<WeightKey, uint64_t> weights_;
    std::map<std::string, uint64_t> states_;
};

}  // namespace

Result<MemoryNeed> memory_need(std::span<const PlanRequest> requests, Device& device) {
    Counter counter(device);
    for (const PlanRequest& request : requests)
        if (request.graph) VKS_TRY(counter.add(request));
    return counter.take();
}

}  // namespace vks
