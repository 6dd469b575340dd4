// moe_combine/1 against a double reference: f32 rel 1e-6, bf16 output 4e-3.
#include <gtest/gtest.h>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

void expect_sum(Device& device, const Value& y, const Value& pos, const Value& weight, const Value& base, uint32_t out,
                double tolerance) {
    std::vector<double> want;
    for (int64_t t = 0; t < pos.rows(); ++t) {
        for (int64_t i = 0; i < y.columns(); ++i) {
            double sum = base.dtype ? base.at(t, i) : 0;
            for (int64_t j = t * pos.columns(); j < (t + 1) * pos.columns(); ++j) {
                if (pos.integer(j) >= 0) sum += weight.at(j) * y.at(pos.integer(j), i);
            }
            want.push_back(sum);
        }
    }
    OpRun run("moe_combine/1");
    run.in(y).in(pos).in(weight).in(base).out(out, {pos.rows(), y.columns()});
    expect_close("out", run.on(device).at(0), want, tolerance);
}

TEST(MoeCombine, SizesTypesAndMissingExperts) {
    Random random(121);
    on_every_device([&](Device& device) {
        for (int64_t k : {1, 2, 8}) {
            for (int64_t columns : {1, 48, 130, 1024}) {
                const int64_t tokens = 5;
                Value pos = zeros(VKS_I32, {tokens, k});
                // Each pair somewhere of its own, one in four in another shard.
                for (int64_t i = 0; i < pos.count(); ++i) {
                    pos.set(i, i % 4 == 3 ? -1 : static_cast<double>(pos.count() - 1 - i));
                }
                for (int64_t j = 0; j < k; ++j) pos.set(j, -1);  // a token with no expert here
                const Value weight = random.positive({tokens, k}, 0, 1);
                const Value y = random.value(VKS_F32, {tokens * k, columns}),
                            base = random.value(VKS_F32, {tokens, columns});
                expect_sum(device, y, pos, weight, base, VKS_F32, 1e-6);
                expect_sum(device, y, pos, weight, {}, VKS_F32, 1e-6);
                const Value half = cast(y, VKS_BF16);
                expect_sum(device, half, pos, weight, cast(base, VKS_BF16), VKS_BF16, 4e-3);
                expect_sum(device, half, pos, weight, base, VKS_F32, 1e-6);
            }
        }
    });
}

TEST(MoeCombine, ManyTokens) {
    Random random(122);
    const int64_t tokens = 80, k = 8;
    Value pos = zeros(VKS_I32, {tokens, k});
    for (int64_t i = 0; i < pos.count(); ++i) {
        pos.set(i, i % 7 == 3 ? -1 : static_cast<double>(i * 77 % pos.count()));
    }
    const Value weight = random.positive({tokens, k}, 0, 1), base = random.value(VKS_F32, {tokens, 333});
    const Value y = random.value(VKS_F32, {tokens * k, 333});
    on_every_device([&](Device& device) { expect_sum(device, y, pos, weight, base, VKS_F32, 1e-6); });
}

}  // namespace
}  // namespace vks::test
