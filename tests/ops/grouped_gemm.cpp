// grouped_gemm/1 against double products, expert by expert: f32 rel 1e-5, bf16 output 4e-3. Rows past the last list
// must not be written.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

struct Case {
    Value x, x_scale;
    std::vector<int32_t> offset, row;  // row empty: absent
    std::vector<Value> w, w_scale;
    int64_t out_rows;
};

Value multiply(Device& device, const Case& c, uint32_t y) {
    OpRun run("grouped_gemm/1");
    run.params(vks_grouped_gemm_params{static_cast<uint32_t>(c.w.size())}).in(c.x).in(c.x_scale);
    run.in(ints({static_cast<int64_t>(c.offset.size())}, c.offset));
    c.row.empty() ? run.absent() : run.in(ints({static_cast<int64_t>(c.row.size())}, c.row));
    for (size_t e = 0; e < c.w.size(); ++e)
        c.w[e].dtype ? run.constant(c.w[e]).constant(c.w_scale[e]) : run.absent().absent();
    return run.out(y, {c.out_rows, c.w[1].rows()}).on(device).at(0);
}

void expect_products(const std::string& what, Device& device, const Case& c, uint32_t y, double tolerance) {
    const Value got = multiply(device, c, y);
    for (size_t e = 0; e < c.w.size(); ++e) {
        for (int64_t r = c.offset[e]; r < c.offset[e + 1]; ++r) {
            const int64_t from = c.row.empty() ? r : c.row[static_cast<size_t>(r)];
            const Value scale = c.x_scale.dtype ? slice(c.x_scale, from, 1) : Value{};
            const auto want = c.w[e].dtype ? matmul(slice(c.x, from, 1), scale, c.w[e], c.w_scale[e])
                                           : std::vector<double>(size_t(got.columns()));
            const double error = relative_error(slice(got, r, 1).doubles(), want);
            EXPECT_LE(error, tolerance) << what << " expert " << e << " row " << r;
        }
    }
    for (int64_t i = c.offset.back() * got.columns(); i < got.count(); ++i) {
        ASSERT_TRUE(std::isnan(got.at(i))) << what << ": a write past the last list";
    }
}

// Experts 1 and 3 without tokens, expert 2 with most.
Case random_case(Random& random, uint32_t x, uint32_t w, bool listed, int64_t n, int64_t k) {
    Case c{random.value(x, {listed ? 9 : 20, k}), {}, {0, 2, 2, 13, 13, 16}, {}, {}, {}, 20};
    if (x == VKS_F8_E4M3) c.x_scale = random.positive({c.x.rows(), blocks(k)}, 0.1, 1);
    for (int i = 0; listed && i < 20; ++i) c.row.push_back(static_cast<int32_t>(random.below(9)));
    for (int e = 0; e < 5; ++e) {
        c.w.push_back(random.value(w, {n, k}));
        c.w_scale.push_back(w == VKS_F8_E4M3 ? random.positive({blocks(n), blocks(k)}, 0.1, 1) : Value{});
    }
    return c;
}

TEST(GroupedGemm, TypesAndLists) {
    Random random(111);
    on_every_device([&](Device& device) {
        for (bool listed : {true, false}) {
            for (uint32_t w : {VKS_F32, VKS_BF16, VKS_F16, VKS_F8_E4M3}) {
                expect_products("f32", device, random_case(random, VKS_F32, w, listed, 48, 130), VKS_F32, 1e-5);
                expect_products("bf16", device, random_case(random, VKS_BF16, w, listed, 130, 40), VKS_BF16, 1e-2);
                expect_products("fp8", device, random_case(random, VKS_F8_E4M3, w, listed, 129, 257), VKS_F32, 1e-5);
            }
        }
    });
}

TEST(GroupedGemm, OneTokenAndNone) {
    Random random(112);
    on_every_device([&](Device& device) {
        Case c = random_case(random, VKS_F32, VKS_F8_E4M3, true, 33, 129);
        c.x = slice(c.x, 0, 1);
        c.offset = {0, 0, 0, 1, 1, 2};
        c.row = {0, 0};
        c.out_rows = 2;
        expect_products("one token", device, c, VKS_F32, 1e-5);
        c.offset = {0, 0, 0, 0, 0, 0};
        expect_products("no token", device, c, VKS_F32, 1e-5);
    });
}

// Rows of experts that are elsewhere are zeros, and the others' bits don't change.
TEST(GroupedGemm, ExpertsElsewhere) {
    Random random(115);
    on_every_device([&](Device& device) {
        for (bool listed : {true, false})
            for (uint32_t w : {VKS_BF16, VKS_F8_E4M3})
                for (uint32_t x : {VKS_F32, VKS_BF16, VKS_F8_E4M3}) {
                    if (x == VKS_F8_E4M3 && w != VKS_F8_E4M3) continue;
                    const uint32_t y = x == VKS_BF16 ? VKS_BF16 : VKS_F32;
                    Case c = random_case(random, x, w, listed, 70, 144);
                    const Value all = multiply(device, c, y);
                    for (size_t e : {0, 4}) c.w[e] = c.w_scale[e] = Value{};
                    expect_products("elsewhere", device, c, y, y == VKS_F32 ? 1e-5 : 1e-2);
                    EXPECT_EQ(slice(multiply(device, c, y), 2, 11).bytes, slice(all, 2, 11).bytes);
                }
    });
}

// As many as there may be; most are elsewhere.
TEST(GroupedGemm, TheMostExperts) {
    Random random(115);
    constexpr size_t kExperts = 1024;
    Case c{random.value(VKS_F32, {3, 40}), {}, std::vector<int32_t>(kExperts + 1, 2), {}, {}, {}, 3};
    c.offset[0] = c.offset[1] = 0;
    c.offset.back() = 3;
    c.w.resize(kExperts);
    c.w_scale.resize(kExperts);
    for (const size_t e : {size_t{1}, kExperts - 1}) c.w[e] = random.value(VKS_F32, {16, 40});
    on_every_device([&](Device& device) { expect_products("1024 experts", device, c, VKS_F32, 1e-5); });
}

TEST(GroupedGemm, AllOnOneExpert) {
    Random random(113);
    on_every_device([&](Device& device) {
        Case c = random_case(random, VKS_F32, VKS_BF16, false, 24, 64);
        c.offset = {0, 0, 0, 0, 20, 20};
        expect_products("all on one", device, c, VKS_F32, 1e-5);
    });
}

// Lists longer than tiles hold, one of them empty, and rows that x doesn't have: zeros.
TEST(GroupedGemm, LongListsAndRowsOutside) {
    struct Types {
        uint32_t x, w, y;
    };
    Random random(114);
    on_every_device([&](Device& device) {
        for (bool listed : {true, false}) {
            for (const auto& [x, w, y_type] :
                 {Types{VKS_F32, VKS_F8_E4M3, VKS_F32}, Types{VKS_F8_E4M3, VKS_F8_E4M3, VKS_F32},
                  Types{VKS_BF16, VKS_F8_E4M3, VKS_BF16}, Types{VKS_BF16, VKS_BF16, VKS_F32},
                  Types{VKS_F8_E4M3, VKS_F8_E4M3, VKS_BF16}}) {
                Case c = random_case(random, x, w, listed, 70, 144);
                c.out_rows = 140;
                c.offset = {0, 3, 3, 74, 75, 139};
                if (listed) {
                    for (int i = 20; i < 140; ++i) c.row.push_back(static_cast<int32_t>(random.below(9)));
                } else {
                    c.x = random.value(x, {140, 144});
                    if (x == VKS_F8_E4M3) c.x_scale = random.positive({140, 2}, 0.1, 1);
                }
                expect_products("long", device, c, y_type, y_type == VKS_F32 ? 1e-5 : 1e-2);
                if (!listed) continue;
                c.row[1] = 9;
                c.row[74] = -1;
                const Value y = multiply(device, c, y_type);
                for (int64_t r : {1, 74}) EXPECT_EQ(slice(y, r, 1).doubles(), std::vector<double>(70)) << "row " << r;
                EXPECT_NE(y.at(2, 0), 0);
            }
        }
    });
}

}  // namespace
}  // namespace vks::test
