// moe_dispatch/1: integers, exact; against the golden counts and the definition written as two loops.
#include <gtest/gtest.h>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

void expect_definition(Device& device, const Value& idx, uint32_t first, uint32_t count) {
    const auto got = OpRun("moe_dispatch/1")
                         .params(vks_moe_dispatch_params{first, count})
                         .in(idx)
                         .out(VKS_I32, {int64_t{count} + 1})
                         .out(VKS_I32, {idx.count()})
                         .out(VKS_I32, idx.dim)
                         .on(device);
    std::vector<int32_t> offset = {0}, row, pos(static_cast<size_t>(idx.count()), -1);
    for (uint32_t e = first; e < first + count; ++e) {
        for (int64_t pair = 0; pair < idx.count(); ++pair) {
            if (idx.integer(pair) != static_cast<int32_t>(e)) continue;
            pos[static_cast<size_t>(pair)] = static_cast<int32_t>(row.size());
            row.push_back(static_cast<int32_t>(pair / idx.columns()));
        }
        offset.push_back(static_cast<int32_t>(row.size()));
    }
    expect_same_bits("offset", got.at(0), ints({int64_t{count} + 1}, offset));
    const auto listed = static_cast<int64_t>(row.size());
    expect_same_bits("row", slice(got.at(1), 0, listed), ints({listed}, row));
    expect_same_bits("pos", got.at(2), ints(idx.dim, pos));
}

TEST(MoeDispatch, Golden) {
    const Golden golden("ops/moe.safetensors");
    on_every_device([&](Device& device) {
        for (const std::string c : {"random", "all_to_one", "one_token", "some_empty", "skewed"}) {
            const Value idx = golden[c + ".topk_idx"], counts = golden[c + ".counts"];
            OpRun run("moe_dispatch/1");
            run.params(vks_moe_dispatch_params{0, 8}).in(idx).out(VKS_I32, {9}).out(VKS_I32, {idx.count()});
            const auto got = run.out(VKS_I32, idx.dim).on(device);
            for (int64_t e = 0; e < 8; ++e) {
                EXPECT_EQ(got.at(0).integer(e + 1) - got.at(0).integer(e), counts.integer(e)) << c << " expert " << e;
            }
            expect_definition(device, idx, 0, 8);
        }
    });
}

TEST(MoeDispatch, ShardsAndStrays) {
    Random random(101);
    Value idx = zeros(VKS_I32, {33, 3});
    for (int64_t i = 0; i < idx.count(); ++i) idx.set(i, static_cast<double>(random.below(16)));
    idx.set(5, -1);
    idx.set(6, INT32_MAX);
    idx.set(7, INT32_MIN);
    on_every_device([&](Device& device) {
        for (uint32_t first : {0u, 5u, 12u}) expect_definition(device, idx, first, 4);
        expect_definition(device, idx, 15, 1);
        expect_definition(device, idx, 100, 4);  // a shard nobody chose
    });
}

TEST(MoeDispatch, ManyTokensAndExperts) {
    Random random(102);
    Value idx = zeros(VKS_I32, {4096, 8});
    on_every_device([&](Device& device) {
        for (int64_t i = 0; i < idx.count(); ++i) idx.set(i, static_cast<double>(random.below(256)));
        expect_definition(device, idx, 0, 256);
        expect_definition(device, idx, 250, 3);
        for (int64_t i = 0; i < idx.count(); ++i) idx.set(i, 1);  // all to one
        expect_definition(device, idx, 0, 4);
    });
}

}  // namespace
}  // namespace vks::test
