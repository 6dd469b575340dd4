#include "backend/graph/builder.h"

#include "backend/ops/rule.h"

namespace vks {

GraphBuilder::GraphBuilder(std::string name, const Bindings& max) {
    graph_.name = std::move(name);
    graph_.max = max;
}

ValueId GraphBuilder::append(Value value) {
    graph_.values.push_back(std::move(value));
    return ValueId(graph_.values.size() - 1);
}

ValueId GraphBuilder::input(std::string name, uint32_t dtype, Dims shape) {
    return append({std::move(name), Kind::kInput, dtype, std::move(shape)});
}

ValueId GraphBuilder::weight(std::string name, uint32_t dtype, Dims shape, const std::byte* host) {
    const auto [it, fresh] = weights_.try_emplace(host, ValueId(graph_.values.size()));
    if (fresh) append({std::move(name), Kind::kWeight, dtype, std::move(shape), host});
    return it->second;
}

ValueId GraphBuilder::state(std::string name, uint32_t dtype, Dims shape) {
    return append({std::move(name), Kind::kState, dtype, std::move(shape)});
}

void GraphBuilder::output(ValueId value, std::string name) {
    if (value >= graph_.values.size()) return;  // after a mistake
    graph_.values[value].output = true;
    graph_.values[value].name = std::move(name);
}

std::vector<ValueId> GraphBuilder::call(const std::string& op, std::string name, const void* params, size_t params_size,
                                        std::vector<ValueId> inputs, std::initializer_list<Out> outs) {
    std::vector<ValueId> made(outs.size(), kAbsent);
    if (!mistake_.empty()) return made;
    Node node;
    node.op = op;
    node.name = std::move(name);
    node.inputs = uint32_t(inputs.size());
    node.args = std::move(inputs);
    const auto* bytes = static_cast<const std::byte*>(params);
    if (params_size) node.params.assign(bytes, bytes + params_size);
    const OpRule* rule = find_rule(op);
    CHECK(rule && rule->params_size == params_size, "the builder calls {} with {} bytes of params", op, params_size);
    if (node.inputs < rule->min_inputs || node.inputs > rule->max_inputs) {
        mistake_ = fmt::format("node {} ({}): wrong number of inputs: {}", node.name, op, node.inputs);
        return made;
    }
    std::vector<const Value*> storage;
    auto shapes = rule->infer(view_of(graph_, node, storage));
    if (!shapes) {
        mistake_ = fmt::format("node {} ({}): {}", node.name, op, shapes.error().text);
        return made;
    }
    size_t i = 0;
    for (const Out& out : outs) {
        if (out.state != kAbsent) {
            made[i] = out.state;
        } else if (out.dtype != VKS_NONE) {
            const std::string suffix = outs.size() > 1 ? "." + std::to_string(i) : "";
            made[i] = append({node.name + ":" + node.op_name() + suffix, Kind::kTemp, out.dtype, (*shapes)[i]});
        }
        node.args.push_back(made[i]);
        ++i;
    }
    graph_.nodes.push_back(std::move(node));
    return made;
}

ValueId GraphBuilder::embed(std::string name, ValueId ids, ValueId table, uint32_t dtype) {
    return call("embed/1", std::move(name), nullptr, 0, {ids, table}, {{dtype}})[0];
}

ValueId GraphBuilder::rms_norm(std::string name, ValueId x, ValueId w, float eps, uint32_t dtype) {
    const vks_norm_params p = {eps};
    return call("rms_norm/1", std::move(name), &p, sizeof p, {x, w}, {{dtype}})[0];
}

std::pair<ValueId, ValueId> GraphBuilder::add_rms_norm(std::string name, ValueId x, ValueId delta, ValueId w, float eps,
                                                       uint32_t dtype) {
    const vks_norm_params p = {eps};
    auto out = call("add_rms_norm/1", std::move(name), &p, sizeof p, {x, delta, w}, {{VKS_F32}, {dtype}});
    return {out[0], out[1]};
}

ActValue GraphBuilder::act_quant(std::string name, ValueId x, bool ue8m0) {
    const vks_act_quant_params p = {ue8m0 ? 1u : 0u};
    auto out = call("act_quant/1", std::move(name), &p, sizeof p, {x}, {{VKS_F8_E4M3}, {VKS_F32}});
    return {out[0], out[1]};
}

ValueId GraphBuilder::matmul(std::string name, ActValue x, MatrixValue w, uint32_t dtype) {
    if (w.scale == kAbsent) return call("gemm/1", std::move(name), nullptr, 0, {x.x, w.w}, {{dtype}})[0];
    return call("fp8_gemm/1", std::move(name), nullptr, 0, {x.x, x.scale, w.w, w.scale}, {{dtype}})[0];
}

ValueId GraphBuilder::head_gemm(std::string name, const vks_head_gemm_params& p, ValueId x, MatrixValue w,
                                uint32_t dtype) {
    return call("head_gemm/1", std::move(name), &p, sizeof p, {x, w.w, w.scale}, {{dtype}})[0];
}

ValueId GraphBuilder::mla_rope_append(std::string name, const vks_mla_rope_append_params& p, ValueId q, ValueId kv,
                                      ValueId norm, ValueId table, ValueId slot, ValueId cache, uint32_t dtype) {
    return call("mla_rope_append/1", std::move(name), &p, sizeof p, {q, kv, norm, table, slot},
                {{VKS_NONE, cache}, {dtype}})[1];
}

ValueId GraphBuilder::mla_attention(std::string name, const vks_mla_attention_params& p, ValueId q_lat, ValueId q_pe,
                                    ValueId cache, ValueId span, uint32_t dtype) {
    return call("mla_attention/1", std::move(name), &p, sizeof p, {q_lat, q_pe, cache, span}, {{dtype}})[0];
}

ValueId GraphBuilder::mla_expanded(std::string name, const vks_mla_expanded_params& p, ValueId q, ValueId q_pe,
                                   ValueId cache, MatrixValue w, ValueId span, uint32_t dtype) {
    return call("mla_expanded/1", std::move(name), &p, sizeof p, {q, q_pe, cache, w.w, w.scale, span}, {{dtype}})[0];
}

ActValue GraphBuilder::swiglu(std::string name, ValueId gate, ValueId up, uint32_t dtype) {
    const uint32_t scale = dtype == VKS_F8_E4M3 ? VKS_F32 : VKS_NONE;
    auto out = call("swiglu_quant/1", std::move(name), nullptr, 0, {gate, up}, {{dtype}, {scale}});
    return {out[0], out[1]};
}

std::pair<ValueId, ValueId> GraphBuilder::moe_route(std::string name, const vks_moe_route_params& p, ValueId logits,
                                                    ValueId bias) {
    auto out = call("moe_route/1", std::move(name), &p, sizeof p, {logits, bias}, {{VKS_I32}, {VKS_F32}});
    return {out[0], out[1]};
}

GraphBuilder::Dispatch GraphBuilder::moe_dispatch(std::string name, const vks_moe_dispatch_params& p, ValueId idx) {
    auto out = call("moe_dispatch/1", std::move(name), &p, sizeof p, {idx}, {{VKS_I32}, {VKS_I32}, {VKS_I32}});
    return {out[0], out[1], out[2]};
}

ValueId GraphBuilder::grouped_gemm(std::string name, ActValue x, ValueId offset, ValueId row,
                                   const std::vector<MatrixValue>& w, uint32_t dtype) {
    const vks_grouped_gemm_params p = {uint32_t(w.size())};
    std::vector<ValueId> inputs = {x.x, x.scale, offset, row};
    for (const MatrixValue& m : w) {
        inputs.push_back(m.w);
        inputs.push_back(m.scale);
    }
    return call("grouped_gemm/1", std::move(name), &p, sizeof p, std::move(inputs), {{dtype}})[0];
}

ValueId GraphBuilder::moe_combine(std::string name, ValueId y, ValueId pos, ValueId weight, ValueId base,
                                  uint32_t dtype) {
    return call("moe_combine/1", std::move(name), nullptr, 0, {y, pos, weight, base}, {{dtype}})[0];
}

ValueId GraphBuilder::add(std::string name, ValueId a, ValueId b, uint32_t dtype) {
    return call("add/1", std::move(name), nullptr, 0, {a, b}, {{dtype}})[0];
}

ValueId GraphBuilder::mtp_merge(std::string name, ValueId e, ValueId h, ValueId we, ValueId wh, float eps,
                                uint32_t dtype) {
    const vks_norm_params p = {eps};
    return call("mtp_merge/1", std::move(name), &p, sizeof p, {e, h, we, wh}, {{dtype}})[0];
}

std::pair<ValueId, ValueId> GraphBuilder::topk(std::string name, ValueId x, uint32_t k) {
    const vks_topk_params p = {k};
    auto out = call("topk/1", std::move(name), &p, sizeof p, {x}, {{VKS_F32}, {VKS_I32}});
    return {out[0], out[1]};
}

Result<Graph> GraphBuilder::finish(std::shared_ptr<const void> keep) {
    if (mistake_.empty()) mistake_ = verify(graph_);
    if (!mistake_.empty()) return Error{Code::kBadInput, mistake_};
    graph_.keep = std::move(keep);
    return std::move(graph_);
}

}  // namespace vks
