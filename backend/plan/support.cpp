// First pass: who can run what.
#include <algorithm>
#include <unordered_map>

#include "backend/plan/placement.h"

namespace vks {
namespace {

// Everything a device's answer may depend on, as bytes: equal keys, equal answers.
std::string question(const Node& node, const std::vector<vks_tensor>& args) {
    std::string key = node.op + '\0';
    key.append(reinterpret_cast<const char*>(node.params.data()), node.params.size());
    for (const vks_tensor& t : args) {
        key.append(reinterpret_cast<const char*>(&t.dtype), sizeof t.dtype);
        key.append(reinterpret_cast<const char*>(&t.flags), sizeof t.flags);
        key.append(reinterpret_cast<const char*>(t.dim), sizeof t.dim);
    }
    return key;
}

// Takes back what a device's cap leaves no room for.
void keep_away(const Graph& graph, const Away& away, size_t device, SupportTable& table) {
    std::vector<bool> made_elsewhere(graph.values.size(), false);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node& node = graph.nodes[i];
        bool leads = false, no_room = away.everything;
        const Value* first = nullptr;  // of what other nodes made
        for (size_t a = 0; a < node.inputs; ++a) {
            if (node.args[a] == kAbsent) continue;
            const Value& value = graph.values[node.args[a]];
            leads = leads || value.kind == Kind::kWeight;
            no_room = no_room || (value.kind == Kind::kWeight && away.weights.contains(value.name));
            if (value.kind == Kind::kTemp && !first) first = &value;
        }
        for (const ValueId id : node.args)  // a latent cache stays with those who write and read it
            leads = leads && (id == kAbsent || graph.values[id].kind != Kind::kState);
        if (!leads && first) no_room = no_room || made_elsewhere[static_cast<size_t>(first - graph.values.data())];
        if (!no_room) continue;
        for (size_t a = node.inputs; a < node.args.size(); ++a)
            if (node.args[a] != kAbsent) made_elsewhere[node.args[a]] = true;
        table[i][device].ok = false;
        table[i][device].reason = "no room in its memory";
    }
}

}  // namespace

vks_tensor describe(const Graph& graph, const Value& value) {
    vks_tensor t{};
    t.dtype = value.dtype;
    t.rank = uint32_t(value.shape.size());
    int64_t stride = 1;
    for (uint32_t i = t.rank; i-- > 0;) {
        const Dim& d = value.shape[i];
        const int64_t n = d.bind(graph.max);
        t.dim[i] = d.symbol == Symbol::kNone ? n : -n;
        t.stride[i] = stride;
        stride *= n;
    }
    if (value.kind == Kind::kWeight) t.flags = VKS_TENSOR_CONSTANT;
    return t;
}

vks_op describe(const Graph& graph, const Node& node, std::vector<vks_tensor>& args) {
    args.clear();
    for (const ValueId id : node.args) args.push_back(id == kAbsent ? vks_tensor{} : describe(graph, graph.values[id]));
    vks_op op{};
    op.size = sizeof op;
    op.op = node.op.c_str();
    op.params = node.params.data();
    op.params_size = node.params.size();
    op.args = args.data();
    op.arg_count = args.size();
    return op;
}

uint64_t most_scratch(const SupportTable& table, const std::vector<size_t>& device_of, size_t device) {
    uint64_t most = 0;
    for (size_t i = 0; i < device_of.size(); ++i)
        if (device_of[i] == device) most = std::max(most, table[i][device].scratch_bytes);
    return most;
}

SupportTable ask_support(const Graph& graph, const Preference& preference) {
    SupportTable table(graph.nodes.size());
    std::unordered_map<std::string, size_t> asked;
    std::vector<vks_tensor> args;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node& node = graph.nodes[i];
        const vks_op op = describe(graph, node, args);
        const auto [it, fresh] = asked.try_emplace(question(node, args), i);
        if (!fresh) {
            table[i] = table[it->second];
            continue;
        }
        for (Device* device : preference.order) {
            if (device->health() == Health::kOk) {
                table[i].push_back(device->query(op));
            } else {
                Support gone;
                gone.reason = device->health_reason();
                table[i].push_back(std::move(gone));
            }
        }
    }
    for (size_t d = 0; d < preference.order.size(); ++d)
        if (const auto at = preference.away.find(preference.order[d]); at != preference.away.end())
            keep_away(graph, *at->second, d, table);
    return table;
}

}  // namespace vks
