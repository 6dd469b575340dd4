// Writes a graph one op at a time. Shapes come from the ops' rules; the first mistake sticks and finish() reports it.
#pragma once
#include <initializer_list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend/base/result.h"
#include "backend/graph/graph.h"

namespace vks {

// A matrix as ops take it: w [N, K] and, when it is F8_E4M3, its scale.
struct MatrixValue {
    ValueId w = kAbsent, scale = kAbsent;
};
// An activation, and its scale when it is quantised.
struct ActValue {
    ValueId x = kAbsent, scale = kAbsent;
};

// Every method that adds a node takes the node's name first and says in abi/ops.h what it means.
class GraphBuilder {
public:
    GraphBuilder(std::string name, const Bindings& max);

    ValueId input(std::string name, uint32_t dtype, Dims shape);
    // `host`: contiguous, alive as long as the graph's `keep`. The same memory twice is the same value.
    ValueId weight(std::string name, uint32_t dtype, Dims shape, const std::byte* host);
    ValueId state(std::string name, uint32_t dtype, Dims shape);
    // The caller will read it after each step, as `name`.
    void output(ValueId value, std::string name);

    ValueId embed(std::string name, ValueId ids, ValueId table, uint32_t dtype);
    ValueId rms_norm(std::string name, ValueId x, ValueId w, float eps, uint32_t dtype);
    // {sum, y}
    std::pair<ValueId, ValueId> add_rms_norm(std::string name, ValueId x, ValueId delta, ValueId w, float eps,
                                             uint32_t dtype);
    ActValue act_quant(std::string name, ValueId x, bool ue8m0);
    // fp8_gemm when w is F8_E4M3, else gemm
    ValueId matmul(std::string name, ActValue x, MatrixValue w, uint32_t dtype);
    ValueId head_gemm(std::string name, const vks_head_gemm_params& p, ValueId x, MatrixValue w, uint32_t dtype);
    // q_pe; writes `cache`
    ValueId mla_rope_append(std::string name, const vks_mla_rope_append_params& p, ValueId q, ValueId kv, ValueId norm,
                            ValueId table, ValueId slot, ValueId cache, uint32_t dtype);
    ValueId mla_expanded(std::string name, const vks_mla_expanded_params& p, ValueId q, ValueId q_pe, ValueId cache,
                         MatrixValue w, ValueId span, uint32_t dtype);
    ValueId mla_attention(std::string name, const vks_mla_attention_params& p, ValueId q_lat, ValueId q_pe,
                          ValueId cache, ValueId span, uint32_t dtype);
    // dtype F8_E4M3: quantised, with a scale
    ActValue swiglu(std::string name, ValueId gate, ValueId up, uint32_t dtype);
    // {idx, weight}
    std::pair<ValueId, ValueId> moe_route(std::string name, const vks_moe_route_params& p, ValueId logits,
                                          ValueId bias);
    struct Dispatch {
        ValueId offset, row, pos;
    };
    Dispatch moe_dispatch(std::string name, const vks_moe_dispatch_params& p, ValueId idx);
    // `row` kAbsent: x is already in list order
    ValueId grouped_gemm(std::string name, ActValue x, ValueId offset, ValueId row, const std::vector<MatrixValue>& w,
                         uint32_t dtype);
    ValueId moe_combine(std::string name, ValueId y, ValueId pos, ValueId weight, ValueId base, uint32_t dtype);
    ValueId add(std::string name, ValueId a, ValueId b, uint32_t dtype);
    ValueId mtp_merge(std::string name, ValueId e, ValueId h, ValueId we, ValueId wh, float eps, uint32_t dtype);
    // {value, index}
    std::pair<ValueId, ValueId> topk(std::string name, ValueId x, uint32_t k);

    // The general form: outputs are new values of these dtypes (NONE: left out), or the given state.
    struct Out {
        uint32_t dtype = VKS_NONE;
        ValueId state = kAbsent;
    };
    std::vector<ValueId> call(const std::string& op, std::string name, const void* params, size_t params_size,
                              std::vector<ValueId> inputs, std::initializer_list<Out> outs);

    // The verified graph, or the first mistake: "node <name>: <argument>: wanted x, found y".
    Result<Graph> finish(std::shared_ptr<const void> keep);

private:
    ValueId append(Value value);
    Graph graph_;
    std::string mistake_;
    std::unordered_map<const std::byte*, ValueId> weights_;
};

}  // namespace vks
