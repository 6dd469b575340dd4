// The computation of one step: values and nodes in two flat arrays, SSA, topological by construction. No control flow.
// Only states (the latent caches) are written in place; all else is written once.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/abi/ops.h"

namespace vks {

using ValueId = uint32_t;
constexpr ValueId kAbsent = UINT32_MAX;

// What varies from step to step: a dim is a plain count, or a count times one of these.
enum class Symbol : int8_t { kNone = -1, kTokens = 0, kRows = 1 };
constexpr size_t kSymbols = 2;
using Bindings = std::array<int64_t, kSymbols>;

struct Dim {
    int64_t count = 1;
    Symbol symbol = Symbol::kNone;

    int64_t bind(const Bindings& b) const { return symbol == Symbol::kNone ? count : count * b[size_t(symbol)]; }
    bool operator==(const Dim&) const = default;
};
using Dims = std::vector<Dim>;             // up to four, outermost first
std::string to_string(const Dims& shape);  // "[T, 7168]", "[8T, 2048]"

enum class Kind : uint8_t {
    kInput,   // given by the caller at each step
    kWeight,  // constant host memory, alive as long as any plan over the graph
    kState,   // lives from step to step, by name
    kTemp,    // made by a node
};

struct Value {
    std::string name;
    Kind kind = Kind::kTemp;
    uint32_t dtype = VKS_NONE;
    Dims shape;
    const std::byte* host = nullptr;  // weights only: contiguous, row-major
    bool output = false;              // the caller reads it after a step
};

struct Node {
    std::string op;             // "fp8_gemm/1"
    std::string name;           // "layers.3.self_attn.q_a_proj"
    std::vector<ValueId> args;  // inputs, then outputs; kAbsent for an optional argument left out
    uint32_t inputs = 0;        // how many of args are inputs
    std::vector<std::byte> params;

    // "fp8_gemm" of "fp8_gemm/1"
    std::string op_name() const { return op.substr(0, op.find('/')); }
};

struct Graph {
    std::string name;  // "main", "mtp1"
    Bindings max{};    // the largest value each symbol may take
    std::vector<Value> values;
    std::vector<Node> nodes;
    std::shared_ptr<const void> keep;  // what the weights' memory belongs to

    int64_t bytes(const Value& v, const Bindings& b) const;
    int64_t max_bytes(const Value& v) const { return bytes(v, max); }
    // The value called `name`, or kAbsent.
    ValueId find(const std::string& name) const;
};

// Everything a plan relies on: ids in range, written before read, each temp written once, weights with memory, shapes
// as the op's rule says (backend/ops). Empty when all is well, else one line naming the node, wanted and found.
std::string verify(const Graph& graph);

// One line per node: "12 fp8_gemm/1 layers.0.self_attn.o_proj (%40 f32 [T, 512], ...) -> %43 f32 [T, 288]".
std::string print(const Graph& graph);

}  // namespace vks
