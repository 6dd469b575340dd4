// A whole MoE layer as a chain of operators, given the routing, against the golden: rel 1e-5. Also split over two
// shards, whose partial sums must add up to the same.
#include <gtest/gtest.h>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

struct Layer {
    Device& device;
    const Golden& golden;

    Value expert(const std::string& matrix, int64_t e) const {
        const Value all = golden["experts." + matrix + "_proj"];
        return reshape(slice(all, e, 1), {all.dim[1], all.dim[2]});
    }

    Value gemm(const Value& x, const std::string& matrix) const {
        const Value w = golden["shared." + matrix + "_proj"];
        return OpRun("gemm/1").in(x).constant(w).out(VKS_F32, {x.rows(), w.rows()}).on(device).at(0);
    }

    Value swiglu(const Value& gate, const Value& up) const {
        return OpRun("swiglu_quant/1").in(gate).in(up).out(VKS_F32, gate.dim).absent().on(device).at(0);
    }

    Value shared(const Value& x) const { return gemm(swiglu(gemm(x, "gate"), gemm(x, "up")), "down"); }

    Value grouped(const Value& x, const Value& offset, const Value& row, const std::string& matrix,
                  int64_t first) const {
        const int64_t experts = offset.count() - 1;
        OpRun run("grouped_gemm/1");
        run.params(vks_grouped_gemm_params{static_cast<uint32_t>(experts)}).in(x).absent().in(offset).in(row);
        for (int64_t e = first; e < first + experts; ++e) run.constant(expert(matrix, e)).absent();
        const int64_t rows = row.dtype ? row.count() : x.rows();
        return run.out(VKS_F32, {rows, expert(matrix, first).rows()}).on(device).at(0);
    }

    // base + the weighted outputs of experts [first, first + count).
    Value routed(const Value& x, const Value& idx, const Value& weight, uint32_t first, uint32_t count,
                 const Value& base) const {
        const auto lists = OpRun("moe_dispatch/1")
                               .params(vks_moe_dispatch_params{first, count})
                               .in(idx)
                               .out(VKS_I32, {int64_t{count} + 1})
                               .out(VKS_I32, {idx.count()})
                               .out(VKS_I32, idx.dim)
                               .on(device);
        const Value &offset = lists.at(0), &row = lists.at(1), &pos = lists.at(2);
        const Value h = swiglu(grouped(x, offset, row, "gate", first), grouped(x, offset, row, "up", first));
        const Value y = grouped(h, offset, {}, "down", first);
        return OpRun("moe_combine/1").in(y).in(pos).in(weight).in(base).out(VKS_F32, x.dim).on(device).at(0);
    }
};

TEST(MoeBlock, Golden) {
    const Golden golden("ops/moe.safetensors");
    on_every_device([&](Device& device) {
        const Layer layer{device, golden};
        for (const std::string c : {"random", "all_to_one", "one_token", "some_empty", "skewed"}) {
            const Value x = golden[c + ".x"], idx = golden[c + ".topk_idx"], weight = golden[c + ".topk_weight"];
            const Value shared = layer.shared(x);
            expect_close("moe shared " + c, shared, golden[c + ".shared_out"], 1e-5);
            expect_close("moe routed " + c, layer.routed(x, idx, weight, 0, 8, {}), golden[c + ".routed"], 1e-5);
            const Value out = layer.routed(x, idx, weight, 0, 8, shared);
            expect_close("moe out " + c, out, golden[c + ".out"], 1e-5);
            const Value half = layer.routed(x, idx, weight, 0, 5, shared);
            expect_close("moe two shards " + c, layer.routed(x, idx, weight, 5, 3, half), golden[c + ".out"], 1e-5);
        }
    });
}

}  // namespace
}  // namespace vks::test
