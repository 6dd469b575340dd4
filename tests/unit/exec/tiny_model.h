// A one-layer model in miniature that uses most operators: enough for plans over several devices to disagree when
// anything is moved wrongly. Weights are random, the cache has kContext rows.
#pragma once
#include <cmath>
#include <random>

#include "backend/exec/executor.h"
#include "backend/graph/builder.h"

namespace vks::test {

class TinyModel {
public:
    static constexpr int64_t kVocab = 50, kHidden = 32, kHeads = 2, kNope = 8, kRope = 4, kLora = 16, kV = 6;
    static constexpr int64_t kInner = 40, kContext = 24, kRow = kLora + kRope;

    TinyModel() : memory_(std::make_shared<std::vector<std::vector<float>>>()) {
        std::mt19937 random(7);
        std::normal_distribution<float> normal;
        for (int i = 0; i < 12; ++i) {
            memory_->emplace_back(size_t(64) * 64);
            for (float& x : memory_->back()) x = 0.2f * normal(random);
        }
    }

    // For steps of up to `tokens`.
    std::shared_ptr<const Graph> graph(int64_t tokens) const {
        constexpr Symbol T = Symbol::kTokens, R = Symbol::kRows;
        GraphBuilder g("tiny", {tokens, tokens});
        size_t next = 0;
        const auto weight = [&](Dims shape) {
            const auto* host = reinterpret_cast<const std::byte*>((*memory_)[next].data());
            return g.weight("w" + std::to_string(next++), VKS_F32, std::move(shape), host);
        };
        const auto linear = [&](const char* name, ValueId x, int64_t n, int64_t k) {
            return g.matmul(name, {x, kAbsent}, {weight({{n}, {k}}), kAbsent}, VKS_F32);
        };
        const ValueId ids = g.input("ids", VKS_I32, {{1, T}}), rope = g.input("rope", VKS_F32, {{1, T}, {kRope}});
        const ValueId slot = g.input("slot", VKS_I32, {{1, T}}), span = g.input("span", VKS_I32, {{1, T}, {2}});
        const ValueId rows = g.input("rows", VKS_I32, {{1, R}});

        const ValueId x = g.embed("embed", ids, weight({{kVocab}, {kHidden}}), VKS_F32);
        const ValueId h = g.rms_norm("input_norm", x, weight({{kHidden}}), 1e-6f, VKS_F32);
        const ValueId q = linear("q", h, kHeads * (kNope + kRope), kHidden), kv = linear("kv", h, kRow, kHidden);
        const ValueId cache = g.state("kv.0", VKS_F32, {{kContext}, {kRow}});
        const vks_mla_rope_append_params append = {kHeads, kNope, kRope, kLora, 1e-6f};
        const ValueId q_pe = g.mla_rope_append("append", append, q, kv, weight({{kLora}}), rope, slot, cache, VKS_F32);
        const MatrixValue kv_b = {weight({{kHeads * (kNope + kV)}, {kLora}}), kAbsent};
        vks_head_gemm_params head = {VKS_HEAD_ABSORB, kHeads, kNope, kRope, kV, kLora};
        const ValueId q_lat = g.head_gemm("absorb", head, q, kv_b, VKS_F32);
        const ValueId o_lat =
            g.mla_attention("attention", {kHeads, kLora, kRope, 0.3f}, q_lat, q_pe, cache, span, VKS_F32);
        head.mode = VKS_HEAD_EXPAND;
        const ValueId o = linear("o", g.head_gemm("expand", head, o_lat, kv_b, VKS_F32), kHidden, kHeads * kV);
        const auto [sum, y] = g.add_rms_norm("post_norm", x, o, weight({{kHidden}}), 1e-6f, VKS_F32);
        const ValueId gate = linear("gate", y, kInner, kHidden), up = linear("up", y, kInner, kHidden);
        const ValueId down = linear("down", g.swiglu("swiglu", gate, up, VKS_F32).x, kHidden, kInner);
        const ValueId out = g.add("add", sum, down, VKS_F32);
        g.output(out, "hidden");
        g.output(linear("head", g.embed("rows", rows, out, VKS_F32), kVocab, kHidden), "logits");
        auto made = g.finish(memory_);
        CHECK(made, "{}", made.error().text);
        return std::make_shared<const Graph>(std::move(*made));
    }

private:
    std::shared_ptr<std::vector<std::vector<float>>> memory_;
};

// Steps of a sequence over plans of a TinyModel. Everything is public: tests look.
struct Session {
    State state;
    WeightStores weights;
    Executor executor;

    explicit Session(Trace* trace = nullptr, Probe* probe = nullptr) : executor(trace, probe) {}

    Result<std::shared_ptr<const Plan>> plan(const TinyModel& model, int64_t tokens, const Preference& preference) {
        return make_plan(model.graph(tokens), preference, weights, state);
    }

    // The logits of each of `ids`, at positions first, first + 1, ...
    Result<std::vector<float>> step(const Plan& plan, const std::vector<int32_t>& ids, int64_t first) {
        const auto n = int64_t(ids.size());
        std::vector<float> rope;
        std::vector<int32_t> slot, span, rows;
        for (int64_t t = 0; t < n; ++t) {
            for (int64_t i = 0; i < TinyModel::kRope; i += 2) {
                const double angle = double(first + t) * std::pow(100.0, -double(i) / TinyModel::kRope);
                rope.push_back(float(std::cos(angle)));
                rope.push_back(float(std::sin(angle)));
            }
            slot.push_back(int32_t(first + t));
            span.push_back(0);
            span.push_back(int32_t(first + t + 1));
            rows.push_back(int32_t(t));
        }
        const Graph& g = *plan.graph;
        const std::pair<ValueId, const void*> inputs[] = {{g.find("ids"), ids.data()},
                                                          {g.find("rope"), rope.data()},
                                                          {g.find("slot"), slot.data()},
                                                          {g.find("span"), span.data()},
                                                          {g.find("rows"), rows.data()}};
        Step step;
        step.bind = {n, n};
        step.inputs = inputs;
        step.state_first = first;
        step.state_count = n;
        VKS_TRY(executor.run(plan, step));
        std::vector<float> logits(size_t(n * TinyModel::kVocab));
        VKS_TRY(executor.read(plan, g.find("logits"), logits.data()));
        return logits;
    }

    Result<std::vector<float>> cache(const Plan& plan, int64_t first, int64_t count) {
        std::vector<float> rows(size_t(count * TinyModel::kRow));
        VKS_TRY(executor.read_state(plan, plan.graph->find("kv.0"), first, count, rows.data()));
        return rows;
    }
};

// ||a - b|| / ||b||
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < b.size(); ++i) {
        difference += (double(a.at(i)) - b[i]) * (double(a[i]) - b[i]);
        norm += double(b[i]) * b[i];
    }
    return a.size() == b.size() ? std::sqrt(difference / norm) : INFINITY;
}

}  // namespace vks::test
