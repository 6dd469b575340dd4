// Every operator where sizes are zero: query answers, and where it says yes, a launch has nothing to do.
#include <gtest/gtest.h>

#include <set>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

// `n` tokens, all other sizes that may be zero `size`.
std::vector<OpRun> all_ops(int64_t n, int64_t size) {
    const auto u = static_cast<uint32_t>(size);
    const Value rows = zeros(VKS_F32, {n, size}), vector = zeros(VKS_F32, {size}), none;
    const Value matrix = zeros(VKS_F32, {size, size}), codes = zeros(VKS_F8_E4M3, {size, size});
    const Value scale = zeros(VKS_F32, {blocks(size), blocks(size)});
    const Value ids = zeros(VKS_I32, {n}), pairs = zeros(VKS_I32, {n, 2}), chosen = zeros(VKS_I32, {n, 1});
    const Value first = zeros(VKS_I32, {2});
    const vks_norm_params norm{1e-6f};
    std::vector<OpRun> all;
    const auto add = [&all](OpRun run) { all.push_back(std::move(run)); };
    const std::vector<int64_t> dims = {n, size}, groups = {n, blocks(size)};
    add(OpRun("embed/1").in(ids).constant(matrix).out(VKS_F32, dims));
    add(OpRun("rms_norm/1").params(norm).in(rows).constant(vector).out(VKS_F32, dims));
    add(OpRun("add_rms_norm/1").params(norm).in(rows).in(rows).constant(vector).out(VKS_F32, dims).out(VKS_F32, dims));
    add(OpRun("act_quant/1").params(vks_act_quant_params{0}).in(rows).out(VKS_F8_E4M3, dims).out(VKS_F32, groups));
    add(OpRun("fp8_gemm/1").in(rows).absent().constant(codes).constant(scale).out(VKS_F32, dims));
    add(OpRun("gemm/1").in(rows).constant(matrix).out(VKS_F32, dims));
    for (const uint32_t mode : {VKS_HEAD_ABSORB, VKS_HEAD_EXPAND})
        for (const int64_t heads : {int64_t{0}, size}) {
            const bool absorb = mode == VKS_HEAD_ABSORB;
            OpRun run("head_gemm/1");
            run.params(vks_head_gemm_params{mode, static_cast<uint32_t>(heads), u, u, u, u});
            run.in(zeros(VKS_F32, {n, heads * size * (absorb ? 2 : 1)}));
            run.constant(zeros(VKS_F32, {heads * size * 2, size})).constant(none).out(VKS_F32, {n, heads * size});
            add(run);
        }
    for (const int64_t heads : {int64_t{0}, int64_t{1}}) {
        const auto h = static_cast<uint32_t>(heads);
        const Value part = zeros(VKS_F32, {n, heads * size}), both = zeros(VKS_F32, {n, heads * size * 2});
        const Value cache = zeros(VKS_F32, {4, size * 2}), entry = zeros(VKS_F32, {n, size * 2});
        add(OpRun("mla_rope_append/1")
                .params(vks_mla_rope_append_params{h, u, u, u, 1e-6f})
                .in(both)
                .in(entry)
                .constant(vector)
                .in(rows)
                .in(ids)
                .inout(cache)
                .out(VKS_F32, part.dim));
        add(OpRun("mla_attention/1")
                .params(vks_mla_attention_params{h, u, u, 1.0f})
                .in(part)
                .in(part)
                .in(cache)
                .in(pairs)
                .out(VKS_F32, part.dim));
        add(OpRun("mla_expanded/1")
                .params(vks_mla_expanded_params{h, u, u, u, u, 1.0f})
                .in(both)
                .in(part)
                .in(cache)
                .constant(zeros(VKS_F32, {heads * size * 2, size}))
                .constant(none)
                .in(pairs)
                .out(VKS_F32, part.dim));
    }
    add(OpRun("swiglu_quant/1").in(rows).in(rows).out(VKS_F32, dims).absent());
    add(OpRun("moe_route/1")
            .params(vks_moe_route_params{1, 1, 1, 1, 1.0f})
            .in(zeros(VKS_F32, {n, 1}))
            .constant(zeros(VKS_F32, {1}))
            .out(VKS_I32, {n, 1})
            .out(VKS_F32, {n, 1}));
    add(OpRun("moe_dispatch/1")
            .params(vks_moe_dispatch_params{0, u})
            .in(chosen)
            .out(VKS_I32, {size + 1})
            .out(VKS_I32, {n})
            .out(VKS_I32, {n, 1}));
    add(OpRun("grouped_gemm/1")
            .params(vks_grouped_gemm_params{1})
            .in(rows)
            .absent()
            .in(first)
            .absent()
            .constant(matrix)
            .constant(none)
            .out(VKS_F32, dims));
    add(OpRun("moe_combine/1").in(rows).in(chosen).in(zeros(VKS_F32, {n, 1})).in(rows).out(VKS_F32, dims));
    add(OpRun("add/1").in(rows).in(rows).out(VKS_F32, dims));
    add(OpRun("mtp_merge/1")
            .params(norm)
            .in(rows)
            .in(rows)
            .constant(vector)
            .constant(vector)
            .out(VKS_F32, {n, 2 * size}));
    add(OpRun("topk/1").params(vks_topk_params{u}).in(rows).out(VKS_F32, dims).out(VKS_I32, dims));
    return all;
}

TEST(EmptyShapes, EveryOperator) {
    on_every_device([](Device& device) {
        std::set<std::string> offered, seen;
        for (const char* const* op = device.plugin().ops; *op; ++op) offered.insert(*op);
        // The last is no empty one: it shows that the arguments are right otherwise.
        for (const auto& [tokens, size] : {std::pair<int64_t, int64_t>{2, 0}, {0, 0}, {0, 2}, {2, 2}}) {
            for (const OpRun& run : all_ops(tokens, size)) {
                if (!offered.contains(run.op())) continue;
                seen.insert(run.op());
                SCOPED_TRACE(run.op() + ", " + std::to_string(tokens) + " tokens, sizes " + std::to_string(size));
                if (run.variant(device).starts_with("unsupported: ")) {
                    EXPECT_TRUE(tokens == 0 || size == 0) << run.variant(device);
                } else {
                    run.on(device);
                }
            }
        }
        EXPECT_EQ(seen, offered);
    });
}

}  // namespace
}  // namespace vks::test
