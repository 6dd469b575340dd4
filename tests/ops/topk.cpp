// topk/1: exact, against a stable sort.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

void expect_sorted(Device& device, const Value& x, int64_t k) {
    Value value = zeros(VKS_F32, {x.rows(), k}), index = zeros(VKS_I32, {x.rows(), k});
    for (int64_t r = 0; r < x.rows(); ++r) {
        std::vector<int64_t> order(static_cast<size_t>(x.columns()));
        std::iota(order.begin(), order.end(), int64_t{0});
        std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return x.at(r, a) > x.at(r, b); });
        for (int64_t j = 0; j < k; ++j) {
            index.set(r * k + j, static_cast<double>(order[static_cast<size_t>(j)]));
            value.set(r * k + j, x.at(r, order[static_cast<size_t>(j)]));
        }
    }
    const auto got = OpRun("topk/1")
                         .params(vks_topk_params{static_cast<uint32_t>(k)})
                         .in(x)
                         .out(VKS_F32, {x.rows(), k})
                         .out(VKS_I32, {x.rows(), k})
                         .on(device);
    expect_same_bits("index", got.at(1), index);
    expect_same_bits("value", got.at(0), value);
}

TEST(Topk, SizesAndTies) {
    Random random(151);
    on_every_device([&](Device& device) {
        expect_sorted(device, random.value(VKS_F32, {1, 1}), 1);
        expect_sorted(device, random.value(VKS_F32, {3, 4001}), 1);
        expect_sorted(device, random.value(VKS_F32, {2, 4001}), 50);
        expect_sorted(device, random.value(VKS_F32, {2, 17}), 17);
        expect_sorted(device, cast(random.value(VKS_F8_E4M3, {3, 1000}), VKS_F32), 40);  // many equal values
        expect_sorted(device, zeros(VKS_F32, {1, 100}), 10);
    });
}

TEST(Topk, InfinitiesAndNan) {
    const Value x = make(VKS_F32, {1, 6}, {NAN, -INFINITY, 3, INFINITY, NAN, 3});
    on_every_device([&](Device& device) {
        OpRun run("topk/1");
        const auto got = run.params(vks_topk_params{6}).in(x).out(VKS_F32, {1, 6}).out(VKS_I32, {1, 6}).on(device);
        expect_same_bits("index", got.at(1), ints({1, 6}, {3, 2, 5, 1, 0, 4}));
    });
}

TEST(Topk, LongRows) {
    Random random(152);
    Value sparse = zeros(VKS_F32, {2, 20011});
    for (int64_t i = 0; i < sparse.count(); ++i)
        sparse.set(i, i % 4001 == 0 ? static_cast<double>(1 + i % 3) : -INFINITY);
    on_every_device([&](Device& device) {
        expect_sorted(device, random.value(VKS_F32, {2, 129280}), 40);
        expect_sorted(device, cast(random.value(VKS_F8_E4M3, {2, 20000}), VKS_F32), 33);  // equal values everywhere
        expect_sorted(device, sparse, 20);
        expect_sorted(device, zeros(VKS_F32, {1, 16384}), 64);
    });
}

}  // namespace
}  // namespace vks::test
