// An op's meaning without its maths: which arguments it takes, the shape of what it gives, bytes moved, flops.
// One file per op in this folder defines rule_<op>; the table is generated from the file names.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/base/result.h"
#include "backend/graph/graph.h"

namespace vks {

// A node as its rule sees it: pointers to its argument values, null for absent ones.
struct NodeView {
    std::span<const Value* const> in;
    const void* params = nullptr;

    template <class P>
    const P& get() const {
        return *static_cast<const P*>(params);
    }
};

// Work at given bindings; outputs' bytes are added by the caller, who knows their dtype.
struct Cost {
    int64_t bytes = 0;
    int64_t flops = 0;
};

// Which of a node's weights a launch reads.
enum class WeightUse : uint8_t {
    kAll,
    kRows,      // single rows of the one there is
    kByOffset,  // of a pair (weight, scale) for each expert e those with offset[e] < offset[e + 1]
};

struct OpRule {
    const char* id = nullptr;
    uint32_t min_inputs = 0, max_inputs = 0;  // absent ones count
    uint32_t params_size = 0;
    // Shapes of the outputs, or what is wrong with the inputs ("wanted x, found y").
    Result<std::vector<Dims>> (*infer)(const NodeView&) = nullptr;
    int64_t (*flops)(const NodeView&, const Bindings&) = nullptr;
    // Null: every input is read whole. Else the bytes read, e.g. of the experts that T tokens can reach.
    int64_t (*bytes_read)(const NodeView&, const Bindings&) = nullptr;
    WeightUse weights = WeightUse::kAll;
};

// Null when the core knows no such op.
const OpRule* find_rule(const std::string& id);
std::span<const OpRule* const> all_rules();

// Cost of a node at bindings `b`: bytes read plus bytes written, flops. States are read up to row `state_rows`; -1:
// whole.
Cost node_cost(const Graph& graph, const Node& node, const Bindings& b, int64_t state_rows = -1);
NodeView view_of(const Graph& graph, const Node& node, std::vector<const Value*>& storage);

// For rules' messages and checks.
Error shape_error(const char* argument, const std::string& wanted, const Value* found);
inline int64_t elements(const Value& v, const Bindings& b) {
    int64_t n = 1;
    for (const Dim& d : v.shape) n *= d.bind(b);
    return n;
}
inline Dim fixed(int64_t n) {
    return {n, Symbol::kNone};
}
// Rank and dtype kind checks used by many rules. An activation is f32 or bf16.
bool is_act(const Value* v, size_t rank);
bool is_matrix(const Value* v);  // rank 2, fixed dims, any weight dtype
bool is_vector(const Value* v, int64_t n);
bool is_table(const Value* v, uint32_t dtype, const Dims& shape);
inline int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}
// The scale that must stand beside weight `w`: empty when right.
std::string scale_problem(const Value* w, const Value* scale);
// The scale that must stand beside input `x`, [T, K]: present exactly when x is f8.
std::string x_scale_problem(const Value* x, const Value* scale);

}  // namespace vks
