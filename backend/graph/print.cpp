// The graph as text, for people and for tests.
#include <fmt/format.h>

#include "backend/abi/plugin.hpp"
#include "backend/graph/graph.h"

namespace vks {
namespace {

std::string describe(const Graph& g, ValueId id) {
    if (id == kAbsent) return "-";
    const Value& v = g.values[id];
    return fmt::format("%{} {} {}", id, abi::dtype_name(v.dtype), to_string(v.shape));
}

std::string list(const Graph& g, size_t first, size_t last, const std::vector<ValueId>& args) {
    constexpr size_t kShown = 8;  // a grouped GEMM has hundreds
    std::string text;
    for (size_t i = first; i < last; ++i) {
        if (i > first) text += ", ";
        if (i - first == kShown && last - i > 1) return text + fmt::format("... {} more", last - i);
        text += describe(g, args[i]);
    }
    return text;
}

}  // namespace

std::string to_string(const Dims& shape) {
    std::string text = "[";
    for (const Dim& d : shape) {
        if (text.size() > 1) text += ", ";
        const char* symbol = d.symbol == Symbol::kTokens ? "T" : d.symbol == Symbol::kRows ? "R" : "";
        if (d.count != 1 || !*symbol) text += std::to_string(d.count);
        text += symbol;
    }
    return text + "]";
}

std::string print(const Graph& graph) {
    std::string text =
        fmt::format("graph {}: {} values, {} nodes\n", graph.name, graph.values.size(), graph.nodes.size());
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node& n = graph.nodes[i];
        text += fmt::format("{:4} {} {} ({}) -> {}\n", i, n.op, n.name, list(graph, 0, n.inputs, n.args),
                            list(graph, n.inputs, n.args.size(), n.args));
    }
    return text;
}

}  // namespace vks
