#include "backend/ops/rule.h"

#include <algorithm>

#include "backend/abi/plugin.hpp"
#include "backend/ops/rule_list.h"  // generated: kRuleList

namespace vks {

std::span<const OpRule* const> all_rules() {
    return kRuleList;
}

const OpRule* find_rule(const std::string& id) {
    for (const OpRule* rule : all_rules())
        if (id == rule->id) return rule;
    return nullptr;
}

NodeView view_of(const Graph& graph, const Node& node, std::vector<const Value*>& storage) {
    storage.clear();
    for (uint32_t i = 0; i < node.inputs; ++i)
        storage.push_back(node.args[i] == kAbsent ? nullptr : &graph.values[node.args[i]]);
    return {storage, node.params.data()};
}

Cost node_cost(const Graph& graph, const Node& node, const Bindings& b, int64_t state_rows) {
    std::vector<const Value*> storage;
    const NodeView view = view_of(graph, node, storage);
    const OpRule* rule = find_rule(node.op);
    Cost cost;
    for (size_t i = node.inputs; i < node.args.size(); ++i)
        if (node.args[i] != kAbsent) {
            const Value& v = graph.values[node.args[i]];
            // A state is written a row per token, not whole.
            cost.bytes += v.kind == Kind::kState ? b[0] * graph.bytes(v, b) / std::max<int64_t>(1, v.shape[0].bind(b))
                                                 : graph.bytes(v, b);
        }
    if (rule && rule->bytes_read) {
        cost.bytes += rule->bytes_read(view, b);
    } else {
        for (const Value* v : view.in)
            if (v) cost.bytes += graph.bytes(*v, b);
    }
    if (rule && rule->flops) cost.flops = rule->flops(view, b);
    for (const Value* v : view.in) {
        if (!v || v->kind != Kind::kState || state_rows < 0) continue;
        // What reads a state computes as much with each of its rows.
        const int64_t rows = v->shape[0].bind(b), unread = rows - std::min(rows, state_rows);
        cost.bytes -= graph.bytes(*v, b) / rows * unread;
        cost.flops -= cost.flops / rows * unread;
    }
    return cost;
}

Error shape_error(const char* argument, const std::string& wanted, const Value* found) {
    return {Code::kBadInput,
            fmt::format("{}: wanted {}, found {}", argument, wanted,
                        found ? fmt::format("{} {}", abi::dtype_name(found->dtype), to_string(found->shape))
                              : std::string("none"))};
}

bool is_act(const Value* v, size_t rank) {
    return v && (v->dtype == VKS_F32 || v->dtype == VKS_BF16) && v->shape.size() == rank;
}

bool is_matrix(const Value* v) {
    if (!v || v->shape.size() != 2) return false;
    for (const Dim& d : v->shape)
        if (d.symbol != Symbol::kNone || d.count < 1) return false;
    return v->dtype == VKS_F32 || v->dtype == VKS_BF16 || v->dtype == VKS_F16 || v->dtype == VKS_F8_E4M3;
}

bool is_vector(const Value* v, int64_t n) {
    return v && v->shape == Dims{fixed(n)} && (v->dtype == VKS_F32 || v->dtype == VKS_BF16 || v->dtype == VKS_F16);
}

bool is_table(const Value* v, uint32_t dtype, const Dims& shape) {
    return v && v->dtype == dtype && v->shape == shape;
}

std::string scale_problem(const Value* w, const Value* scale) {
    if (w->dtype != VKS_F8_E4M3) return scale ? "w_scale: wanted none beside an unquantised matrix, found one" : "";
    const Dims wanted = {fixed(ceil_div(w->shape[0].count, 128)), fixed(ceil_div(w->shape[1].count, 128))};
    if (is_table(scale, VKS_F32, wanted)) return {};
    return shape_error("w_scale", "f32 " + to_string(wanted), scale).text;
}

std::string x_scale_problem(const Value* x, const Value* scale) {
    if (x->dtype != VKS_F8_E4M3) {
        if (x->dtype != VKS_F32 && x->dtype != VKS_BF16) return shape_error("x", "f32, bf16 or f8_e4m3", x).text;
        return scale ? "x_scale: wanted none beside an unquantised input, found one" : "";
    }
    const Dims wanted = {x->shape[0], fixed(ceil_div(x->shape[1].count, 128))};
    if (is_table(scale, VKS_F32, wanted)) return {};
    return shape_error("x_scale", "f32 " + to_string(wanted), scale).text;
}

}  // namespace vks
