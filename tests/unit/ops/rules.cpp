// Every operator's rule: the shapes it gives, the inputs it refuses and how, bytes and flops.
#include "backend/ops/rule.h"

#include <gtest/gtest.h>

#include <set>

namespace vks {
namespace {

constexpr Symbol T = Symbol::kTokens;

struct Input {
    uint32_t dtype = VKS_NONE;
    Dims shape;
};
const Input absent;
Input rows(uint32_t dtype, int64_t columns, int64_t per_token = 1) {
    return {dtype, {{per_token, T}, {columns}}};
}
Input ids() {
    return {VKS_I32, {{1, T}}};
}
Input matrix(uint32_t dtype, int64_t n, int64_t k) {
    return {dtype, {{n}, {k}}};
}
Input vector(int64_t n, uint32_t dtype = VKS_F32) {
    return {dtype, {{n}}};
}

class Question {
public:
    Question(std::string op, std::vector<Input> inputs) : op_(std::move(op)) {
        values_.reserve(inputs.size());
        for (Input& i : inputs) values_.push_back({"v", Kind::kInput, i.dtype, std::move(i.shape), nullptr, false});
    }
    template <class P>
    Question(std::string op, const P& params, std::vector<Input> inputs) : Question(std::move(op), std::move(inputs)) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&params);
        params_.assign(bytes, bytes + sizeof params);
    }

    // "[T, 8] [T, 1]", or what is wrong.
    std::string answer() const {
        const OpRule* rule = find_rule(op_);
        if (!rule) return "no rule";
        if (rule->params_size != params_.size()) return "params of another size";
        if (values_.size() < rule->min_inputs || values_.size() > rule->max_inputs) return "another count of inputs";
        std::vector<const Value*> in;
        for (const Value& v : values_) in.push_back(v.dtype == VKS_NONE ? nullptr : &v);
        const auto shapes = rule->infer({in, params_.data()});
        if (!shapes) return shapes.error().text;
        std::string text;
        for (const Dims& shape : *shapes) text += (text.empty() ? "" : " ") + to_string(shape);
        return text;
    }

    // At T tokens; the outputs have these dtypes.
    Cost cost(std::vector<uint32_t> outputs, int64_t tokens) const {
        Graph graph;
        graph.max = {tokens, tokens};
        Node node;
        node.op = op_;
        node.params = params_;
        node.inputs = uint32_t(values_.size());
        std::vector<const Value*> in;
        for (const Value& v : values_) {
            in.push_back(v.dtype == VKS_NONE ? nullptr : &v);
            node.args.push_back(v.dtype == VKS_NONE ? kAbsent : ValueId(graph.values.size()));
            if (v.dtype != VKS_NONE) graph.values.push_back(v);
        }
        const auto shapes = find_rule(op_)->infer({in, params_.data()});
        CHECK(shapes, "{}", shapes.error().text);
        for (size_t i = 0; i < outputs.size(); ++i) {
            node.args.push_back(ValueId(graph.values.size()));
            graph.values.push_back({"y", Kind::kTemp, outputs[i], (*shapes)[i], nullptr, false});
        }
        return node_cost(graph, node, graph.max);
    }

private:
    std::string op_;
    std::vector<std::byte> params_;
    std::vector<Value> values_;
};

TEST(Rules, Embed) {
    const Input table = matrix(VKS_BF16, 100, 8);
    EXPECT_EQ(Question("embed/1", {ids(), table}).answer(), "[T, 8]");
    EXPECT_EQ(Question("embed/1", {ids(), rows(VKS_F32, 8)}).answer(), "[T, 8]");
    EXPECT_EQ(Question("embed/1", {vector(4), table}).answer(), "ids: wanted i32 [T], found f32 [4]");
    EXPECT_EQ(Question("embed/1", {ids(), matrix(VKS_F8_E4M3, 100, 8)}).answer(),
              "table: wanted an unquantised [V, H], found f8_e4m3 [100, 8]");
    EXPECT_EQ(Question("embed/1", {ids(), vector(8)}).answer(), "table: wanted an unquantised [V, H], found f32 [8]");
    const Cost cost = Question("embed/1", {ids(), table}).cost({VKS_F32}, 5);
    EXPECT_EQ(cost.bytes, 5 * 8 * 2 + 5 * 8 * 4);  // the rows used, not the table
    EXPECT_EQ(cost.flops, 0);
}

TEST(Rules, RmsNorm) {
    const vks_norm_params eps = {1e-6f};
    EXPECT_EQ(Question("rms_norm/1", eps, {rows(VKS_F32, 8), vector(8, VKS_F16)}).answer(), "[T, 8]");
    EXPECT_EQ(Question("rms_norm/1", eps, {ids(), vector(8)}).answer(),
              "x: wanted an activation [T, H], found i32 [T]");
    EXPECT_EQ(Question("rms_norm/1", eps, {rows(VKS_F16, 8), vector(8)}).answer(),
              "x: wanted an activation [T, H], found f16 [T, 8]");
    EXPECT_EQ(Question("rms_norm/1", eps, {rows(VKS_F32, 8), vector(7)}).answer(), "w: wanted [H], found f32 [7]");
    EXPECT_EQ(Question("rms_norm/1", eps, {rows(VKS_F32, 8), absent}).answer(), "w: wanted [H], found none");
    const Cost cost = Question("rms_norm/1", eps, {rows(VKS_F32, 8), vector(8)}).cost({VKS_BF16}, 3);
    EXPECT_EQ(cost.bytes, 3 * 8 * 4 + 8 * 4 + 3 * 8 * 2);
    EXPECT_EQ(cost.flops, 4 * 3 * 8);
}

TEST(Rules, AddRmsNorm) {
    const vks_norm_params eps = {1e-6f};
    const Input x = rows(VKS_F32, 8), delta = rows(VKS_BF16, 8), w = vector(8);
    EXPECT_EQ(Question("add_rms_norm/1", eps, {x, delta, w}).answer(), "[T, 8] [T, 8]");
    EXPECT_EQ(Question("add_rms_norm/1", eps, {delta, delta, w}).answer(), "x: wanted f32 [T, H], found bf16 [T, 8]");
    EXPECT_EQ(Question("add_rms_norm/1", eps, {x, rows(VKS_F32, 9), w}).answer(),
              "delta: wanted [T, 8], found f32 [T, 9]");
    EXPECT_EQ(Question("add_rms_norm/1", eps, {x, delta, vector(4)}).answer(), "w: wanted [H], found f32 [4]");
    EXPECT_EQ(Question("add_rms_norm/1", eps, {x, delta, w}).cost({VKS_F32, VKS_F32}, 2).flops, 5 * 2 * 8);
}

TEST(Rules, ActQuant) {
    const vks_act_quant_params plain = {0};
    EXPECT_EQ(Question("act_quant/1", plain, {rows(VKS_F32, 300)}).answer(), "[T, 300] [T, 3]");
    EXPECT_EQ(Question("act_quant/1", plain, {rows(VKS_BF16, 128)}).answer(), "[T, 128] [T, 1]");
    EXPECT_EQ(Question("act_quant/1", plain, {vector(8)}).answer(), "x: wanted an activation [T, K], found f32 [8]");
    const Cost cost = Question("act_quant/1", plain, {rows(VKS_F32, 256)}).cost({VKS_F8_E4M3, VKS_F32}, 4);
    EXPECT_EQ(cost.bytes, 4 * 256 * 4 + 4 * 256 + 4 * 2 * 4);
    EXPECT_EQ(cost.flops, 3 * 4 * 256);
}

TEST(Rules, Fp8Gemm) {
    const Input x = rows(VKS_BF16, 200), w = matrix(VKS_F8_E4M3, 300, 200), scale = matrix(VKS_F32, 3, 2);
    const Input q = rows(VKS_F8_E4M3, 200), x_scale = rows(VKS_F32, 2);
    EXPECT_EQ(Question("fp8_gemm/1", {x, absent, w, scale}).answer(), "[T, 300]");
    EXPECT_EQ(Question("fp8_gemm/1", {q, x_scale, w, scale}).answer(), "[T, 300]");
    EXPECT_EQ(Question("fp8_gemm/1", {x, absent, matrix(VKS_BF16, 300, 200), absent}).answer(),
              "w: wanted f8_e4m3 [N, K], found bf16 [300, 200]");
    EXPECT_EQ(Question("fp8_gemm/1", {rows(VKS_F32, 100), absent, w, scale}).answer(),
              "x: wanted [T, K], found f32 [T, 100]");
    EXPECT_EQ(Question("fp8_gemm/1", {x, absent, w, absent}).answer(), "w_scale: wanted f32 [3, 2], found none");
    EXPECT_EQ(Question("fp8_gemm/1", {x, absent, w, matrix(VKS_F32, 2, 3)}).answer(),
              "w_scale: wanted f32 [3, 2], found f32 [2, 3]");
    EXPECT_EQ(Question("fp8_gemm/1", {x, x_scale, w, scale}).answer(),
              "x_scale: wanted none beside an unquantised input, found one");
    EXPECT_EQ(Question("fp8_gemm/1", {q, absent, w, scale}).answer(), "x_scale: wanted f32 [T, 2], found none");
    EXPECT_EQ(Question("fp8_gemm/1", {rows(VKS_I32, 200), absent, w, scale}).answer(),
              "x: wanted f32, bf16 or f8_e4m3, found i32 [T, 200]");
    const Cost cost = Question("fp8_gemm/1", {x, absent, w, scale}).cost({VKS_F32}, 7);
    EXPECT_EQ(cost.flops, 2 * 7 * 200 * 300);
    EXPECT_EQ(cost.bytes, 7 * 200 * 2 + 300 * 200 + 3 * 2 * 4 + 7 * 300 * 4);
}

TEST(Rules, Gemm) {
    const Input x = rows(VKS_F32, 20);
    for (const uint32_t dtype : {VKS_F32, VKS_BF16, VKS_F16})
        EXPECT_EQ(Question("gemm/1", {x, matrix(dtype, 30, 20)}).answer(), "[T, 30]");
    EXPECT_EQ(Question("gemm/1", {x, matrix(VKS_F8_E4M3, 30, 20)}).answer(),
              "w: wanted an unquantised matrix [N, K], found f8_e4m3 [30, 20]");
    EXPECT_EQ(Question("gemm/1", {x, rows(VKS_F32, 20)}).answer(),
              "w: wanted an unquantised matrix [N, K], found f32 [T, 20]");
    EXPECT_EQ(Question("gemm/1", {x, matrix(VKS_F32, 30, 21)}).answer(),
              "x: wanted an activation [T, K], found f32 [T, 20]");
    EXPECT_EQ(Question("gemm/1", {x, matrix(VKS_F32, 30, 20)}).cost({VKS_F32}, 3).flops, 2 * 3 * 20 * 30);
}

TEST(Rules, HeadGemm) {
    const vks_head_gemm_params absorb = {VKS_HEAD_ABSORB, 4, 16, 8, 12, 32};
    vks_head_gemm_params expand = absorb, neither = absorb;
    expand.mode = VKS_HEAD_EXPAND;
    neither.mode = 2;
    const Input w = matrix(VKS_BF16, 4 * 28, 32), q = rows(VKS_F32, 4 * 24), lat = rows(VKS_F32, 4 * 32);
    EXPECT_EQ(Question("head_gemm/1", absorb, {q, w, absent}).answer(), "[T, 128]");
    EXPECT_EQ(Question("head_gemm/1", expand, {lat, w, absent}).answer(), "[T, 48]");
    EXPECT_EQ(Question("head_gemm/1", neither, {lat, w, absent}).answer(), "mode: wanted 0 or 1, found 2");
    EXPECT_EQ(Question("head_gemm/1", absorb, {lat, w, absent}).answer(),
              "x: wanted an activation [T, 96], found f32 [T, 128]");
    EXPECT_EQ(Question("head_gemm/1", absorb, {q, matrix(VKS_BF16, 111, 32), absent}).answer(),
              "w: wanted [heads*(nope+v), lora], found bf16 [111, 32]");
    EXPECT_EQ(Question("head_gemm/1", absorb, {q, w, matrix(VKS_F32, 1, 1)}).answer(),
              "w_scale: wanted none beside an unquantised matrix, found one");
    const Cost cost = Question("head_gemm/1", absorb, {q, w, absent}).cost({VKS_F32}, 5);
    EXPECT_EQ(cost.flops, 2 * 5 * 4 * 32 * 16);
    EXPECT_EQ(cost.bytes, 4 * 16 * 32 * 2 + 5 * 96 * 4 + 5 * 128 * 4);  // the nope rows only
}

TEST(Rules, MlaRopeAppend) {
    const vks_mla_rope_append_params p = {4, 16, 8, 32, 1e-6f};
    const Input q = rows(VKS_F32, 96), kv = rows(VKS_F32, 40), w = vector(32), table = rows(VKS_F32, 8);
    EXPECT_EQ(Question("mla_rope_append/1", p, {q, kv, w, table, ids()}).answer(), "[] [T, 32]");
    EXPECT_EQ(Question("mla_rope_append/1", p, {rows(VKS_F32, 95), kv, w, table, ids()}).answer(),
              "q: wanted an activation [T, 96], found f32 [T, 95]");
    EXPECT_EQ(Question("mla_rope_append/1", p, {q, rows(VKS_F32, 32), w, table, ids()}).answer(),
              "kv: wanted an activation [T, 40], found f32 [T, 32]");
    EXPECT_EQ(Question("mla_rope_append/1", p, {q, kv, vector(40), table, ids()}).answer(),
              "w: wanted [lora], found f32 [40]");
    EXPECT_EQ(Question("mla_rope_append/1", p, {q, kv, w, rows(VKS_BF16, 8), ids()}).answer(),
              "table: wanted f32 [T, rope], found bf16 [T, 8]");
    EXPECT_EQ(Question("mla_rope_append/1", p, {q, kv, w, table, vector(1, VKS_I32)}).answer(),
              "slot: wanted i32 [T], found i32 [1]");
    EXPECT_GT(Question("mla_rope_append/1", p, {q, kv, w, table, ids()}).cost({}, 2).flops, 0);
}

TEST(Rules, MlaAttention) {
    const vks_mla_attention_params p = {4, 32, 8, 0.1f};
    const Input q = rows(VKS_F32, 128), pe = rows(VKS_F32, 32), cache = matrix(VKS_F32, 100, 40),
                span = rows(VKS_I32, 2);
    EXPECT_EQ(Question("mla_attention/1", p, {q, pe, cache, span}).answer(), "[T, 128]");
    EXPECT_EQ(Question("mla_attention/1", p, {pe, pe, cache, span}).answer(),
              "q_lat: wanted an activation [T, 128], found f32 [T, 32]");
    EXPECT_EQ(Question("mla_attention/1", p, {q, q, cache, span}).answer(),
              "q_pe: wanted an activation [T, 32], found f32 [T, 128]");
    EXPECT_EQ(Question("mla_attention/1", p, {q, pe, matrix(VKS_F32, 100, 41), span}).answer(),
              "cache: wanted an activation [C, 40], found f32 [100, 41]");
    EXPECT_EQ(Question("mla_attention/1", p, {q, pe, cache, ids()}).answer(), "span: wanted i32 [T, 2], found i32 [T]");
    EXPECT_EQ(Question("mla_attention/1", p, {q, pe, cache, span}).cost({VKS_F32}, 3).flops, 2 * 3 * 4 * 100 * 72);
}

TEST(Rules, MlaExpanded) {
    const vks_mla_expanded_params p = {4, 16, 8, 12, 32, 0.1f};
    const Input q = rows(VKS_F32, 96), pe = rows(VKS_F32, 32), cache = matrix(VKS_F32, 100, 40),
                w = matrix(VKS_BF16, 112, 32), span = rows(VKS_I32, 2), absent = {VKS_NONE, {}};
    EXPECT_EQ(Question("mla_expanded/1", p, {q, pe, cache, w, absent, span}).answer(), "[T, 48]");
    EXPECT_EQ(Question("mla_expanded/1", p, {pe, pe, cache, w, absent, span}).answer(),
              "q: wanted an activation [T, 96], found f32 [T, 32]");
    EXPECT_EQ(Question("mla_expanded/1", p, {q, rows(VKS_BF16, 32), cache, w, absent, span}).answer(),
              "q_pe: wanted q's dtype [T, 32], found bf16 [T, 32]");
    EXPECT_EQ(Question("mla_expanded/1", p, {q, pe, matrix(VKS_F32, 100, 41), w, absent, span}).answer(),
              "cache: wanted q's dtype [C, 40], found f32 [100, 41]");
    EXPECT_EQ(Question("mla_expanded/1", p, {q, pe, cache, matrix(VKS_BF16, 111, 32), absent, span}).answer(),
              "w: wanted [heads*(nope+v), lora], found bf16 [111, 32]");
    EXPECT_EQ(Question("mla_expanded/1", p, {q, pe, cache, w, absent, ids()}).answer(),
              "span: wanted i32 [T, 2], found i32 [T]");
    EXPECT_EQ(Question("mla_expanded/1", p, {q, pe, cache, w, absent, span}).cost({VKS_F32}, 3).flops,
              2 * 4 * 100 * (32 * 28 + 3 * 36));
}

TEST(Rules, SwigluQuant) {
    const Input gate = rows(VKS_BF16, 300);
    EXPECT_EQ(Question("swiglu_quant/1", {gate, gate}).answer(), "[T, 300] [T, 3]");
    EXPECT_EQ(Question("swiglu_quant/1", {gate, rows(VKS_BF16, 299)}).answer(),
              "up: wanted [T, 300], found bf16 [T, 299]");
    EXPECT_EQ(Question("swiglu_quant/1", {absent, gate}).answer(), "gate: wanted an activation [T, I], found none");
    EXPECT_EQ(Question("swiglu_quant/1", {gate, gate}).cost({VKS_BF16}, 2).flops, 8 * 2 * 300);
}

TEST(Rules, MoeRoute) {
    const Input logits = rows(VKS_F32, 8), bias = vector(8);
    const auto ask = [&](const vks_moe_route_params& p) { return Question("moe_route/1", p, {logits, bias}).answer(); };
    EXPECT_EQ(ask({4, 2, 3, 1, 1}), "[T, 3] [T, 3]");
    EXPECT_EQ(ask({1, 1, 8, 1, 1}), "[T, 8] [T, 8]");
    for (const vks_moe_route_params wrong :
         {vks_moe_route_params{0, 0, 1, 1, 1}, {3, 1, 1, 1, 1}, {4, 5, 1, 1, 1}, {4, 2, 5, 1, 1}, {4, 2, 0, 1, 1}})
        EXPECT_EQ(
            ask(wrong),
            fmt::format("params: wanted top_k within the experts of the kept groups, found top {} of 8 experts in "
                        "{} of {} groups",
                        wrong.top_k, wrong.groups_kept, wrong.groups));
    const vks_moe_route_params p = {4, 2, 3, 1, 1};
    EXPECT_EQ(Question("moe_route/1", p, {rows(VKS_BF16, 8), bias}).answer(),
              "logits: wanted f32 [T, E], found bf16 [T, 8]");
    EXPECT_EQ(Question("moe_route/1", p, {logits, vector(7)}).answer(), "bias: wanted f32 [E], found f32 [7]");
}

TEST(Rules, MoeDispatch) {
    const vks_moe_dispatch_params p = {0, 8};
    EXPECT_EQ(Question("moe_dispatch/1", p, {rows(VKS_I32, 3)}).answer(), "[9] [3T] [T, 3]");
    EXPECT_EQ(Question("moe_dispatch/1", p, {rows(VKS_F32, 3)}).answer(), "idx: wanted i32 [T, K], found f32 [T, 3]");
    const vks_moe_dispatch_params huge = {0, UINT32_MAX};
    EXPECT_EQ(Question("moe_dispatch/1", huge, {rows(VKS_I32, 3)}).answer(), "[4294967296] [3T] [T, 3]");
}

TEST(Rules, GroupedGemm) {
    const vks_grouped_gemm_params two = {2};
    const Input x = rows(VKS_F32, 20), offset = vector(3, VKS_I32), row = {VKS_I32, {{3, T}}};
    const Input w = matrix(VKS_BF16, 30, 20), q = matrix(VKS_F8_E4M3, 30, 20), scale = matrix(VKS_F32, 1, 1);
    EXPECT_EQ(Question("grouped_gemm/1", two, {x, absent, offset, row, w, absent, w, absent}).answer(), "[3T, 30]");
    EXPECT_EQ(Question("grouped_gemm/1", two, {x, absent, offset, absent, q, scale, q, scale}).answer(), "[T, 30]");
    EXPECT_EQ(Question("grouped_gemm/1", two, {x, absent, offset, row, w, absent}).answer(),
              "params: wanted 4 + 2 * experts inputs, found 6");
    EXPECT_EQ(Question("grouped_gemm/1", two, {x, absent, vector(2, VKS_I32), row, w, absent, w, absent}).answer(),
              "offset: wanted i32 [E + 1], found i32 [2]");
    EXPECT_EQ(Question("grouped_gemm/1", two, {x, absent, offset, x, w, absent, w, absent}).answer(),
              "row: wanted i32 [T*K], found f32 [T, 20]");
    EXPECT_EQ(
        Question("grouped_gemm/1", two, {x, absent, offset, row, w, absent, matrix(VKS_BF16, 31, 20), absent}).answer(),
        "w: wanted [30, 20], found bf16 [31, 20]");
    EXPECT_EQ(Question("grouped_gemm/1", two, {x, absent, offset, row, w, absent, q, absent}).answer(),
              "w_scale: wanted f32 [1, 1], found none");
    EXPECT_EQ(Question("grouped_gemm/1", two, {ids(), absent, offset, row, w, absent, w, absent}).answer(),
              "x: wanted [T, K], found i32 [T]");
    // One token, three pairs: both experts may be read, each once.
    const Question question("grouped_gemm/1", two, {x, absent, offset, row, w, absent, w, absent});
    EXPECT_EQ(question.cost({VKS_F32}, 1).flops, 2 * 3 * 20 * 30);
    EXPECT_EQ(question.cost({VKS_F32}, 1).bytes, 2 * 30 * 20 * 2 + 20 * 4 + 3 * 30 * 4);
}

TEST(Rules, MoeCombine) {
    const Input y = rows(VKS_F32, 20, 3), pos = rows(VKS_I32, 3), share = rows(VKS_F32, 3), base = rows(VKS_BF16, 20);
    EXPECT_EQ(Question("moe_combine/1", {y, pos, share, absent}).answer(), "[T, 20]");
    EXPECT_EQ(Question("moe_combine/1", {y, pos, share, base}).answer(), "[T, 20]");
    EXPECT_EQ(Question("moe_combine/1", {base, pos, share, absent}).answer(), "y: wanted [3T, 20], found bf16 [T, 20]");
    EXPECT_EQ(Question("moe_combine/1", {y, share, share, absent}).answer(),
              "pos: wanted i32 [T, K], found f32 [T, 3]");
    EXPECT_EQ(Question("moe_combine/1", {y, pos, pos, absent}).answer(), "weight: wanted f32 [T, K], found i32 [T, 3]");
    EXPECT_EQ(Question("moe_combine/1", {y, pos, share, rows(VKS_F32, 19)}).answer(),
              "base: wanted [T, 20], found f32 [T, 19]");
    EXPECT_EQ(Question("moe_combine/1", {y, pos, share, absent}).cost({VKS_F32}, 2).flops, 2 * 2 * 3 * 20);
}

TEST(Rules, Add) {
    const Input a = rows(VKS_F32, 8);
    EXPECT_EQ(Question("add/1", {a, rows(VKS_BF16, 8)}).answer(), "[T, 8]");
    EXPECT_EQ(Question("add/1", {a, rows(VKS_F32, 9)}).answer(), "b: wanted [T, 8], found f32 [T, 9]");
    EXPECT_EQ(Question("add/1", {vector(8), a}).answer(), "a: wanted an activation [T, H], found f32 [8]");
    EXPECT_EQ(Question("add/1", {a, a}).cost({VKS_F32}, 3).bytes, 3 * 3 * 8 * 4);
}

TEST(Rules, MtpMerge) {
    const vks_norm_params eps = {1e-6f};
    const Input e = rows(VKS_F32, 8), w = vector(8);
    EXPECT_EQ(Question("mtp_merge/1", eps, {e, e, w, w}).answer(), "[T, 16]");
    EXPECT_EQ(Question("mtp_merge/1", eps, {e, rows(VKS_F32, 7), w, w}).answer(), "h: wanted [T, 8], found f32 [T, 7]");
    EXPECT_EQ(Question("mtp_merge/1", eps, {e, e, w, vector(9)}).answer(), "wh: wanted [H], found f32 [9]");
    EXPECT_EQ(Question("mtp_merge/1", eps, {e, e, vector(1), w}).answer(), "we: wanted [H], found f32 [1]");
}

TEST(Rules, TopK) {
    const auto ask = [](uint32_t k) { return Question("topk/1", vks_topk_params{k}, {rows(VKS_F32, 8)}).answer(); };
    EXPECT_EQ(ask(8), "[T, 8] [T, 8]");
    EXPECT_EQ(ask(0), "k: wanted 1 to 8, found 0");
    EXPECT_EQ(ask(9), "k: wanted 1 to 8, found 9");
    EXPECT_EQ(Question("topk/1", vks_topk_params{1}, {rows(VKS_BF16, 8)}).answer(),
              "x: wanted f32 [R, V], found bf16 [T, 8]");
}

// A state is written a row per token: its cost is not the whole cache's.
TEST(Rules, WritingAStateCostsItsRows) {
    Graph graph;
    graph.max = {4, 1};
    const auto value = [&](Kind kind, Dims shape, uint32_t dtype = VKS_F32) {
        graph.values.push_back({"v", kind, dtype, std::move(shape), nullptr, false});
        return ValueId(graph.values.size() - 1);
    };
    const vks_mla_rope_append_params p = {1, 8, 8, 32, 1e-6f};
    Node node;
    node.op = "mla_rope_append/1";
    node.inputs = 5;
    node.params.assign(reinterpret_cast<const std::byte*>(&p), reinterpret_cast<const std::byte*>(&p) + sizeof p);
    node.args = {
        value(Kind::kTemp, {{1, T}, {16}}), value(Kind::kTemp, {{1, T}, {40}}),     value(Kind::kInput, {{32}}),
        value(Kind::kInput, {{1, T}, {8}}), value(Kind::kInput, {{1, T}}, VKS_I32), value(Kind::kState, {{1000}, {40}}),
        value(Kind::kTemp, {{1, T}, {8}})};
    const int64_t read = 4 * (4 * 16 + 4 * 40 + 32 + 4 * 8 + 4), written = 4 * (4 * 40 + 4 * 8);
    EXPECT_EQ(node_cost(graph, node, graph.max).bytes, read + written);
}

TEST(Rules, NamesAreUniqueAndFound) {
    std::set<std::string> ids;
    for (const OpRule* rule : all_rules()) {
        EXPECT_TRUE(ids.insert(rule->id).second) << rule->id;
        EXPECT_EQ(find_rule(rule->id), rule);
        EXPECT_LE(rule->min_inputs, rule->max_inputs) << rule->id;
    }
    EXPECT_EQ(find_rule("rms_norm"), nullptr);
    EXPECT_EQ(find_rule("rms_norm/2"), nullptr);
}

}  // namespace
}  // namespace vks
