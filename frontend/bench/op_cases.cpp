#include "frontend/bench/op_cases.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>

#include "frontend/bench/op_maker.h"

namespace vks::bench {
namespace {

using conformance::Argument;
using conformance::Compare;

class Families {
public:
    Families(ModelConfig config, const OpCaseOptions& options)
        : c_(std::move(config)), contexts_(options.contexts), act_(options.half ? VKS_BF16 : VKS_F32) {}

    std::vector<OpFamily> all() {
        rows();
        matrices();
        heads();
        attention();
        if (c_.n_routed_experts > 0) {
            routing();
            experts();
        }
        return std::move(list_);
    }

private:
    // `constants` are made once, `vary` gives the other arguments for a number of rows; in both, absent ones hold the
    // places of the others.
    struct Parts {
        std::function<std::vector<Argument>(Filler&)> constants;
        std::function<void(std::vector<Argument>&, Filler&, int64_t rows)> vary;
        std::function<double(int64_t)> bytes, flops;
        std::function<double(int64_t)> row_bytes = nullptr;  // of what varies; null: bytes is near enough
        double constant_bytes = 0;
    };

    OpFamily& add(const std::string& op, const std::string& name, const std::vector<std::byte>& params,
                  const Parts& parts) {
        OpFamily family;
        family.op = op;
        family.name = name;
        family.constant_bytes = parts.constant_bytes;
        family.flops = parts.flops;
        family.row_bytes = parts.row_bytes ? parts.row_bytes : parts.bytes;
        family.make = [=] {
            OpCase made;
            Filler fill(op + name);
            made.arguments.op = op;
            made.arguments.params = params;
            made.arguments.args = parts.constants(fill);
            return made;
        };
        const double tolerance = conformance::tolerance(act_);
        family.set_rows = [=](OpCase& made, int64_t t) {
            Filler fill(op + name + std::to_string(t));
            parts.vary(made.arguments.args, fill, t);
            made.arguments.tolerance = tolerance;
            made.shape = fmt::format("T {} {}", t, name);
            made.arguments.name = op + " " + made.shape;
            made.bytes = parts.bytes(t);
            made.flops = parts.flops(t);
        };
        list_.push_back(std::move(family));
        return list_.back();
    }
    template <class P>
    static std::vector<std::byte> bytes_of(const P& params) {
        std::vector<std::byte> bytes(sizeof params);
        std::memcpy(bytes.data(), &params, sizeof params);
        return bytes;
    }
    double size(uint32_t dtype) const { return double(abi::element_bytes(dtype)); }
    double act() const { return size(act_); }
    uint32_t input_type(bool quantised) const { return quantised ? uint32_t{VKS_F8_E4M3} : act_; }

    // Arguments that vary with T, as (dtype, columns, ...), around constants.
    struct Row {
        uint32_t dtype;
        int64_t columns;
        double scale = 1;
        Compare compare = Compare::kClose;
    };
    // An operator of rows: inputs, constants (vectors), outputs.
    OpFamily& add_rows(const std::string& op, const std::string& name, const std::vector<std::byte>& params,
                       const std::vector<Row>& in, const std::vector<int64_t>& norms, const std::vector<Row>& out,
                       double flops_a_row) {
        Parts p;
        const size_t inputs = in.size(), constants = norms.size();
        p.constants = [=](Filler& fill) {
            std::vector<Argument> args(inputs + constants + out.size());
            for (size_t i = 0; i < constants; ++i) args[inputs + i] = constant(fill.value(VKS_BF16, {norms[i]}, 1));
            return args;
        };
        p.vary = [=](std::vector<Argument>& args, Filler& fill, int64_t t) {
            for (size_t i = 0; i < inputs; ++i)
                args[i] = input(fill.value(in[i].dtype, {t, in[i].columns}, in[i].scale));
            for (size_t i = 0; i < out.size(); ++i)
                if (out[i].dtype != VKS_NONE)
                    args[inputs + constants + i] = output(out[i].dtype, {t, out[i].columns}, out[i].compare);
        };
        double row = 0, fixed = 0;
        for (const auto& list : {in, out})
            for (const Row& r : list) row += size(r.dtype) * double(r.columns);
        for (const int64_t n : norms) fixed += 2 * double(n);
        p.bytes = [=](int64_t t) { return row * double(t) + fixed; };
        p.flops = [=](int64_t t) { return flops_a_row * double(t); };
        return add(op, name, params, p);
    }

    void rows() {
        const int64_t h = c_.hidden_size, v = c_.vocab_size;
        const auto eps = bytes_of(vks_norm_params{1e-6f});
        const std::string hidden = std::to_string(h);
        Parts embed;
        embed.constant_bytes = 2.0 * double(v * h);
        embed.constants = [=](Filler& fill) {
            return std::vector<Argument>{{}, constant(fill.value(VKS_BF16, {v, h}, 1)), {}};
        };
        embed.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
            args[0] = input(fill.integers({t}, v));
            args[2] = output(act_, {t, h});
        };
        embed.bytes = [=, this](int64_t t) { return double(t * h) * (2 + act()) + 4 * double(t); };
        embed.flops = [](int64_t) { return 0.0; };
        add("embed/1", fmt::format("of {} x {}", v, h), {}, embed);
        for (const int64_t n : {h, c_.q_lora_rank})
            if (n > 0) add_rows("rms_norm/1", std::to_string(n), eps, {{act_, n}}, {n}, {{act_, n}}, 4 * double(n));
        add_rows("add_rms_norm/1", hidden, eps, {{VKS_F32, h}, {act_, h}}, {h}, {{VKS_F32, h}, {act_, h}},
                 5 * double(h));
        add_rows("act_quant/1", hidden, bytes_of(vks_act_quant_params{0}), {{act_, h, 20}}, {},
                 {{VKS_F8_E4M3, h, 1, Compare::kCodes}, {VKS_F32, blocks(h)}}, 3 * double(h));
        add_rows("add/1", hidden, {}, {{act_, h}, {act_, h}}, {}, {{VKS_F32, h}}, double(h));
        add_rows("mtp_merge/1", hidden, eps, {{act_, h}, {act_, h}}, {h, h}, {{act_, 2 * h}}, 8 * double(h));
        const int64_t inner = c_.intermediate_size > 0 ? c_.intermediate_size : c_.moe_intermediate_size;
        const std::string name = std::to_string(inner);
        add_rows("swiglu_quant/1", name, {}, {{act_, inner, 2}, {act_, inner}}, {}, {{act_, inner}, {VKS_NONE, 0}},
                 6 * double(inner));
        add_rows("swiglu_quant/1", name + " to f8", {}, {{act_, inner, 2}, {act_, inner}}, {},
                 {{VKS_F8_E4M3, inner, 1, Compare::kCodes}, {VKS_F32, blocks(inner)}}, 9 * double(inner));
        const uint32_t k = uint32_t(std::min<int64_t>(50, v));
        add_rows("topk/1", fmt::format("{} of {}", k, v), bytes_of(vks_topk_params{k}), {{VKS_F32, v}}, {},
                 {{VKS_F32, k, 1, Compare::kExact}, {VKS_I32, k, 1, Compare::kExact}}, double(v))
            .most_rows = kHeadRows;
    }

    void add_fp8(const std::string& name, int64_t n, int64_t k, bool quantised) {
        Parts p;
        p.constant_bytes = double(n * k);
        p.constants = [=](Filler& fill) {
            auto matrix = fill.fp8_matrix(n, k);
            return std::vector<Argument>{{}, {}, std::move(matrix[0]), std::move(matrix[1]), {}};
        };
        p.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
            args[0] = input(fill.value(input_type(quantised), {t, k}, 1));
            if (quantised) args[1] = input(fill.positive({t, blocks(k)}));
            args[4] = output(act_, {t, n});
        };
        p.bytes = [=, this](int64_t t) {
            return double(n * k) + 4 * double(blocks(n) * blocks(k)) +
                   double(t) * (double(k) * (quantised ? 1 : act()) + double(n) * act());
        };
        p.flops = [=](int64_t t) { return 2 * double(t) * double(n) * double(k); };
        add("fp8_gemm/1", fmt::format("{} {} x {}{}", name, n, k, quantised ? ", x f8" : ""), {}, p);
    }

    void add_gemm(const std::string& name, uint32_t weight, int64_t n, int64_t k, int64_t most_rows) {
        Parts p;
        p.constant_bytes = size(weight) * double(n * k);
        p.constants = [=](Filler& fill) {
            return std::vector<Argument>{{}, constant(fill.value(weight, {n, k}, 1 / std::sqrt(double(k)))), {}};
        };
        p.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
            args[0] = input(fill.value(act_, {t, k}, 1));
            args[2] = output(VKS_F32, {t, n});
        };
        p.bytes = [=, this](int64_t t) {
            return size(weight) * double(n * k) + double(t) * (double(k) * act() + 4 * double(n));
        };
        p.flops = [=](int64_t t) { return 2 * double(t) * double(n) * double(k); };
        add("gemm/1", fmt::format("{} {} x {}", name, n, k), {}, p).most_rows = most_rows;
    }

    void matrices() {
        const int64_t h = c_.hidden_size, query = c_.num_attention_heads * c_.qk_head_dim();
        struct Matrix {
            const char* name;
            int64_t n, k;
        };
        std::vector<Matrix> list = {{"kv_a_proj", c_.kv_cache_width(), h},
                                    {"o_proj", h, c_.num_attention_heads * c_.v_head_dim}};
        if (c_.q_lora_rank > 0) list.push_back({"q_a_proj", c_.q_lora_rank, h});
        list.push_back({"q_b_proj", query, c_.q_lora_rank > 0 ? c_.q_lora_rank : h});
        if (c_.intermediate_size > 0) {
            list.push_back({"up_proj", c_.intermediate_size, h});
            list.push_back({"down_proj", h, c_.intermediate_size});
        }
        for (const bool quantised : {false, true})
            for (const Matrix& m : list) add_fp8(m.name, m.n, m.k, quantised);
        if (c_.n_routed_experts > 0) add_gemm("gate", VKS_BF16, c_.n_routed_experts, h, 1 << 30);
        add_gemm("lm_head", VKS_BF16, c_.vocab_size, h, kHeadRows);
    }

    void heads() {
        const int64_t n = c_.num_attention_heads, nope = c_.qk_nope_head_dim, rope = c_.qk_rope_head_dim,
                      v = c_.v_head_dim, lora = c_.kv_lora_rank, rows = n * (nope + v);
        for (const bool absorb : {true, false}) {
            const int64_t in = n * (absorb ? nope + rope : lora), out = n * (absorb ? lora : v);
            Parts p;
            p.constant_bytes = double(rows * lora);
            p.constants = [=](Filler& fill) {
                auto matrix = fill.fp8_matrix(rows, lora);
                return std::vector<Argument>{{}, std::move(matrix[0]), std::move(matrix[1]), {}};
            };
            p.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
                args[0] = input(fill.value(act_, {t, in}, 1));
                args[3] = output(act_, {t, out});
            };
            // Half of the matrix is the other mode's.
            const double used = double(n * (absorb ? nope : v)) * double(lora);
            p.bytes = [=, this](int64_t t) { return used + act() * double(t) * double(in + out); };
            p.flops = [=](int64_t t) { return 2 * double(t) * used; };
            vks_head_gemm_params params = {absorb ? VKS_HEAD_ABSORB : VKS_HEAD_EXPAND,
                                           uint32_t(n),
                                           uint32_t(nope),
                                           uint32_t(rope),
                                           uint32_t(v),
                                           uint32_t(lora)};
            add("head_gemm/1", absorb ? "absorb" : "expand", bytes_of(params), p);
        }
    }

    void attention() {
        const int64_t n = c_.num_attention_heads, nope = c_.qk_nope_head_dim, rope = c_.qk_rope_head_dim,
                      lora = c_.kv_lora_rank, width = lora + rope;
        Parts append;
        constexpr int64_t kCache = 8192;
        append.constants = [=](Filler& fill) {
            std::vector<Argument> args(7);
            args[2] = constant(fill.value(VKS_BF16, {lora}, 1));
            return args;
        };
        append.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
            args[0] = input(fill.value(act_, {t, n * (nope + rope)}, 1));
            args[1] = input(fill.value(act_, {t, width}, 1));
            args[3] = input(fill.value(VKS_F32, {t, rope}, 0.5));
            std::vector<int32_t> slots(static_cast<size_t>(t));
            std::iota(slots.begin(), slots.end(), 1);
            args[4] = input(conformance::ints({t}, slots));
            args[5] = {conformance::Role::kInOut, fill.value(act_, {std::max(kCache, t + 1), width}, 1), 0,
                       Compare::kClose, -1};
            args[6] = output(act_, {t, n * rope});
        };
        append.bytes = [=, this](int64_t t) {
            return double(t) * (act() * double(n * 2 * rope + 2 * width) + 4 * double(rope + 1));
        };
        append.flops = [=](int64_t t) { return double(t) * double(6 * (n + 1) * rope + 4 * lora); };
        add("mla_rope_append/1", fmt::format("{} heads", n),
            bytes_of(vks_mla_rope_append_params{uint32_t(n), uint32_t(nope), uint32_t(rope), uint32_t(lora), 1e-6f}),
            append);
        for (const int64_t context : contexts_) {
            if (context > c_.max_position_embeddings) continue;
            // The last rows of the context, each sees those before it.
            const auto seen_by = [=](int64_t i, int64_t t) { return std::max<int64_t>(1, context - t + 1 + i); };
            const auto spans = [=](int64_t t) {
                std::vector<int32_t> all;
                for (int64_t i = 0; i < t; ++i) all.insert(all.end(), {0, int32_t(seen_by(i, t))});
                return input(conformance::ints({t, 2}, all));
            };
            const auto pairs = [=](int64_t t) {
                double seen = 0;
                for (int64_t i = 0; i < t; ++i) seen += double(seen_by(i, t));
                return seen;
            };
            const auto scale = float(1 / std::sqrt(double(nope + rope)));
            Parts p;
            p.constant_bytes = act() * double(context * width);
            p.constants = [=, this](Filler& fill) {
                std::vector<Argument> args(5);
                args[2] = {conformance::Role::kInput, fill.value(act_, {context, width}, 1), 0, Compare::kClose, -1};
                return args;
            };
            p.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
                args[0] = input(fill.value(act_, {t, n * lora}, 1));
                args[1] = input(fill.value(act_, {t, n * rope}, 1));
                args[3] = spans(t);
                args[4] = output(act_, {t, n * lora});
            };
            p.bytes = [=, this](int64_t t) {
                return act() * (double(context * width) + double(t * n) * double(2 * lora + rope));
            };
            p.flops = [=](int64_t t) { return 2 * pairs(t) * double(n) * double(2 * lora + rope); };
            add("mla_attention/1", fmt::format("{} heads, context {}", n, context),
                bytes_of(vks_mla_attention_params{uint32_t(n), uint32_t(lora), uint32_t(rope), scale}), p)
                .context = context;

            const int64_t v = c_.v_head_dim, through = n * (nope + v) * lora;
            Parts e;
            e.constant_bytes = act() * double(context * width) + double(through);
            e.constants = [=, this](Filler& fill) {
                std::vector<Argument> args(7);
                args[2] = {conformance::Role::kInput, fill.value(act_, {context, width}, 1), 0, Compare::kClose, -1};
                auto matrix = fill.fp8_matrix(n * (nope + v), lora);
                args[3] = std::move(matrix[0]);
                args[4] = std::move(matrix[1]);
                return args;
            };
            e.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
                args[0] = input(fill.value(act_, {t, n * (nope + rope)}, 1));
                args[1] = input(fill.value(act_, {t, n * rope}, 1));
                args[5] = spans(t);
                args[6] = output(act_, {t, n * v});
            };
            e.bytes = [=, this](int64_t t) {
                return act() * (double(context * width) + double(t * n) * double(nope + 2 * rope + v)) +
                       double(through);
            };
            e.flops = [=](int64_t t) {
                return 2 * (double(context) * double(through) + pairs(t) * double(n) * double(nope + rope + v));
            };
            add("mla_expanded/1", fmt::format("{} heads, context {}", n, context),
                bytes_of(vks_mla_expanded_params{uint32_t(n), uint32_t(nope), uint32_t(rope), uint32_t(v),
                                                 uint32_t(lora), scale}),
                e)
                .context = context;
        }
    }

    void routing() {
        const int64_t e = c_.n_routed_experts, k = c_.num_experts_per_tok;
        Parts route;
        route.constants = [=](Filler& fill) {
            return std::vector<Argument>{{}, constant(fill.value(VKS_F32, {e}, 0.05)), {}, {}};
        };
        route.vary = [=](std::vector<Argument>& args, Filler& fill, int64_t t) {
            args[0] = input(fill.value(VKS_F32, {t, e}, 1));
            args[2] = output(VKS_I32, {t, k}, Compare::kExact);
            args[3] = output(VKS_F32, {t, k});
        };
        route.bytes = [=](int64_t t) { return 4 * double(t * (e + 2 * k) + e); };
        route.flops = [=](int64_t t) { return 10 * double(t * e); };
        add("moe_route/1", fmt::format("{} of {}", k, e),
            bytes_of(vks_moe_route_params{uint32_t(c_.n_group), uint32_t(c_.topk_group), uint32_t(k), c_.norm_topk_prob,
                                          float(c_.routed_scaling_factor)}),
            route);
        Parts dispatch;
        dispatch.constants = [](Filler&) { return std::vector<Argument>(4); };
        dispatch.vary = [=](std::vector<Argument>& args, Filler& fill, int64_t t) {
            args[0] = input(fill.choices(t, k, e, false));
            args[1] = output(VKS_I32, {e + 1}, Compare::kExact, true);
            args[2] = output(VKS_I32, {t * k}, Compare::kExact);
            args[3] = output(VKS_I32, {t, k}, Compare::kExact);
        };
        dispatch.bytes = [=](int64_t t) { return 4 * double(3 * t * k + e + 1); };
        dispatch.flops = [](int64_t) { return 0.0; };
        add("moe_dispatch/1", fmt::format("{} of {}", k, e), bytes_of(vks_moe_dispatch_params{0, uint32_t(e)}),
            dispatch);
        const int64_t h = c_.hidden_size;
        Parts combine;
        combine.constants = [](Filler&) { return std::vector<Argument>(5); };
        combine.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
            args[0] = input(fill.value(act_, {t * k, h}, 1));
            args[1] = input(ExpertLists(fill.choices(t, k, e, false), e).pos());
            args[2] = input(fill.positive({t, k}));
            args[3] = input(fill.value(act_, {t, h}, 1));
            args[4] = output(act_, {t, h});
        };
        combine.bytes = [=, this](int64_t t) { return act() * double(t * h * (k + 2)) + 8 * double(t * k); };
        combine.flops = [=](int64_t t) { return 2 * double(t * k) * double(h); };
        add("moe_combine/1", fmt::format("{} x {}", k, h), {}, combine);
    }

    void experts() {
        const int64_t e = c_.n_routed_experts, h = c_.hidden_size, inner = c_.moe_intermediate_size;
        for (const bool skewed : {false, true})
            for (const bool quantised : {false, true}) {
                add_grouped("up_proj", inner, h, true, quantised, skewed, e);
                add_grouped("down_proj", h, inner, false, quantised, skewed, e);
            }
    }

    void add_grouped(const std::string& name, int64_t n, int64_t inner, bool gather, bool quantised, bool skewed,
                     int64_t e) {
        const int64_t k = c_.num_experts_per_tok;
        Parts p;
        p.constant_bytes = double(e * n) * double(inner);
        const auto first_output = size_t(4 + 2 * e);
        p.constants = [=](Filler& fill) {
            std::vector<Argument> args(first_output + 1);
            for (int64_t i = 0; i < e; ++i) {
                auto matrix = fill.fp8_matrix(n, inner);
                args[size_t(4 + 2 * i)] = std::move(matrix[0]);
                args[size_t(5 + 2 * i)] = std::move(matrix[1]);
            }
            return args;
        };
        const std::string choice_seed = fmt::format("choices {} {}", e, skewed);
        const auto lists = [=](int64_t t) {
            return ExpertLists(Filler(choice_seed + std::to_string(t)).choices(t, k, e, skewed), e);
        };
        p.vary = [=, this](std::vector<Argument>& args, Filler& fill, int64_t t) {
            const ExpertLists made = lists(t);
            const int64_t rows = gather ? t : t * k;
            args[0] = input(fill.value(input_type(quantised), {rows, inner}, 1));
            if (quantised) args[1] = input(fill.positive({rows, blocks(inner)}));
            args[2] = input(made.offset(), true);
            if (gather) args[3] = input(made.row());
            args[first_output] = output(act_, {t * k, n});
        };
        p.row_bytes = [=, this](int64_t t) {
            return double(gather ? t : t * k) * double(inner) * (quantised ? 1 : act()) + double(t * k * n) * act();
        };
        p.bytes = [=, rows = p.row_bytes](int64_t t) {
            const double weights =
                double(lists(t).used()) * (double(n * inner) + 4 * double(blocks(n) * blocks(inner)));
            return weights + rows(t);
        };
        p.flops = [=](int64_t t) { return 2 * double(t * k) * double(n) * double(inner); };
        add("grouped_gemm/1",
            fmt::format("{} {} of {} x {} x {}{}{}", name, k, e, n, inner, quantised ? ", x f8" : "",
                        skewed ? ", skewed" : ", even"),
            bytes_of(vks_grouped_gemm_params{uint32_t(e)}), p);
    }

    static constexpr int64_t kHeadRows = 8;  // rows of logits: an id and its drafts
    const ModelConfig c_;
    const std::vector<int64_t> contexts_;
    const uint32_t act_;
    std::vector<OpFamily> list_;
};

}  // namespace

// The functions in a family hold on to the object that made it: it copied what it needs.
std::vector<OpFamily> op_families(const ModelConfig& config, const OpCaseOptions& options) {
    const auto families = std::make_shared<Families>(config, options);
    std::vector<OpFamily> list = families->all();
    for (OpFamily& family : list) {
        const auto make = family.make;
        const auto set_rows = family.set_rows;
        family.make = [families, make] { return make(); };
        const auto row_bytes = family.row_bytes;
        family.set_rows = [families, set_rows](OpCase& made, int64_t rows) { set_rows(made, rows); };
        family.row_bytes = [families, row_bytes](int64_t rows) { return row_bytes(rows); };
    }
    return list;
}

}  // namespace vks::bench
