// embed/1: exact, so compared bit for bit.
#include <gtest/gtest.h>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

TEST(Embed, EveryTableTypeIsExact) {
    Random random(1);
    const Value ids = ints({6}, {3, 0, 4, 3, 1, 2});
    for (uint32_t dtype : {VKS_F32, VKS_BF16, VKS_F16}) {
        // 1e-6: f16 subnormals among them.
        const Value table = concat_rows({random.value(dtype, {3, 33}), random.value(dtype, {2, 33}, 1e-6)});
        std::vector<Value> rows;
        for (int64_t t = 0; t < ids.rows(); ++t) rows.push_back(slice(table, ids.integer(t), 1));
        on_every_device([&](Device& device) {
            for (uint32_t y : {VKS_F32, VKS_BF16}) {
                const auto got = OpRun("embed/1").in(ids).constant(table).out(y, {6, 33}).on(device);
                expect_same_bits("y", got.at(0), cast(concat_rows(rows), y));
            }
        });
    }
}

TEST(Embed, IdOutsideTheTableGivesZeros) {
    const Value table = Random(2).value(VKS_BF16, {5, 7});
    on_every_device([&](Device& device) {
        const auto got =
            OpRun("embed/1").in(ints({3}, {-1, 5, INT32_MAX})).constant(table).out(VKS_F32, {3, 7}).on(device);
        expect_same_bits("y", got.at(0), zeros(VKS_F32, {3, 7}));
    });
}

TEST(Embed, SelectsRowsOfAnActivation) {
    const Value x = Random(3).value(VKS_F32, {9, 20});
    on_every_device([&](Device& device) {
        const auto got = OpRun("embed/1").in(ints({2}, {8, 0})).in(x).out(VKS_F32, {2, 20}).on(device);
        expect_same_bits("y", got.at(0), concat_rows({slice(x, 8, 1), slice(x, 0, 1)}));
    });
}

TEST(Embed, LargeTableAndManyRows) {
    Random random(4);
    const Value table = random.value(VKS_BF16, {3001, 67});
    Value ids = zeros(VKS_I32, {301});
    std::vector<Value> rows;
    for (int64_t t = 0; t < ids.rows(); ++t) {
        const int64_t id = t % 50 == 7 ? 3001 + t : t == 0 ? 3000 : random.below(3001);
        ids.set(t, static_cast<double>(id));
        rows.push_back(id < 3001 ? slice(table, id, 1) : zeros(VKS_BF16, {1, 67}));
    }
    on_every_device([&](Device& device) {
        for (uint32_t y : {VKS_F32, VKS_BF16}) {
            const auto got = OpRun("embed/1").in(ids).constant(table).out(y, {301, 67}).on(device);
            expect_same_bits("y", got.at(0), cast(concat_rows(rows), y));
        }
    });
}

}  // namespace
}  // namespace vks::test
