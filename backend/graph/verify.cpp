// What every later pass takes for granted, checked once.
#include <algorithm>

#include "backend/abi/plugin.hpp"
#include "backend/ops/rule.h"

namespace vks {
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 40;

std::string check_value(const Graph& g, const Value& v) {
    if (abi::element_bytes(v.dtype) == 0) return fmt::format("value {}: unknown dtype {}", v.name, v.dtype);
    if (v.shape.empty() || v.shape.size() > 4)
        return fmt::format("value {}: wanted rank 1 to 4, found {}", v.name, v.shape.size());
    int64_t total = abi::element_bytes(v.dtype);
    for (const Dim& d : v.shape) {
        const int64_t times = d.symbol == Symbol::kNone ? 1 : g.max[size_t(d.symbol)];
        int64_t n = 0;
        if (d.count < 1 || times < 1 || __builtin_mul_overflow(d.count, times, &n) || n > kMaxExtent ||
            __builtin_mul_overflow(total, n, &total))
            return fmt::format("value {}: wanted extents from 1 that fit memory, found {}", v.name, to_string(v.shape));
    }
    if ((v.kind == Kind::kWeight) != (v.host != nullptr))
        return fmt::format("value {}: wanted memory for a weight and only there", v.name);
    if (v.kind == Kind::kWeight && v.output) return fmt::format("value {}: wanted no weight as an output", v.name);
    return {};
}

std::string check_node(const Graph& g, const Node& node, std::vector<bool>& written) {
    const OpRule* rule = find_rule(node.op);
    if (!rule) return fmt::format("node {}: unknown operator {}", node.name, node.op);
    if (node.params.size() != rule->params_size || node.inputs > node.args.size() || node.inputs < rule->min_inputs ||
        node.inputs > rule->max_inputs)
        return fmt::format("node {} ({}): wrong number of inputs or params", node.name, node.op);
    for (size_t i = 0; i < node.args.size(); ++i) {
        const ValueId id = node.args[i];
        if (id == kAbsent) continue;
        if (id >= g.values.size()) return fmt::format("node {} ({}): argument {} is no value", node.name, node.op, i);
        const Value& v = g.values[id];
        if (i < node.inputs) {
            if (!written[id])
                return fmt::format("node {} ({}): reads {} before it is written", node.name, node.op, v.name);
        } else if (v.kind != Kind::kState) {
            if (written[id]) return fmt::format("node {} ({}): writes {} a second time", node.name, node.op, v.name);
            written[id] = true;
        }
    }
    std::vector<const Value*> storage;
    auto shapes = rule->infer(view_of(g, node, storage));
    if (!shapes) return fmt::format("node {} ({}): {}", node.name, node.op, shapes.error().text);
    for (size_t i = node.inputs; i < node.args.size(); ++i) {
        const size_t k = i - node.inputs;
        if (k >= shapes->size()) return fmt::format("node {} ({}): too many outputs", node.name, node.op);
        if (node.args[i] == kAbsent || (*shapes)[k].empty()) continue;
        const Value& v = g.values[node.args[i]];
        if (v.shape != (*shapes)[k])
            return fmt::format("node {} ({}): output {}: wanted {}, found {}", node.name, node.op, k,
                               to_string((*shapes)[k]), to_string(v.shape));
    }
    return {};
}

}  // namespace

std::string verify(const Graph& graph) {
    for (const Value& v : graph.values)
        if (std::string problem = check_value(graph, v); !problem.empty()) return problem;
    std::vector<bool> written(graph.values.size());
    for (size_t i = 0; i < graph.values.size(); ++i) written[i] = graph.values[i].kind != Kind::kTemp;
    for (const Node& node : graph.nodes)
        if (std::string problem = check_node(graph, node, written); !problem.empty()) return problem;
    for (size_t i = 0; i < graph.values.size(); ++i)
        if (!written[i]) return fmt::format("value {}: no node writes it", graph.values[i].name);
    return {};
}

}  // namespace vks
