// fp8_gemm/1 against the goldens and double products: f32 rel 1e-5 (block sums of 128 terms), bf16 output 4e-3.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

Value multiply(Device& device, const Value& x, const Value& x_scale, const Value& w, const Value& w_scale,
               uint32_t y = VKS_F32) {
    return OpRun("fp8_gemm/1")
        .in(x)
        .in(x_scale)
        .constant(w)
        .constant(w_scale)
        .out(y, {x.rows(), w.rows()})
        .on(device)
        .at(0);
}

TEST(Fp8Gemm, Golden) {
    const Golden golden("ops/block_gemm.safetensors");
    on_every_device([&](Device& device) {
        for (int i = 0; golden.has(fmt::format("c{}.x", i)); ++i) {
            const std::string c = fmt::format("c{}.", i);
            const Value x = golden[c + "x"], w = golden[c + "w"], w_scale = golden[c + "w_scale_inv"];
            expect_close("fp8_gemm dequant " + c, multiply(device, x, {}, w, w_scale), golden[c + "y_dequant"], 1e-5);
            const auto quantised = OpRun("act_quant/1")
                                       .params(vks_act_quant_params{0})
                                       .in(x)
                                       .out(VKS_F8_E4M3, x.dim)
                                       .out(VKS_F32, {x.rows(), blocks(x.columns())})
                                       .on(device);
            expect_same_bits(c + "xq", quantised.at(0), golden[c + "xq"]);
            expect_same_bits(c + "x_scale", quantised.at(1), golden[c + "x_scale"]);
            const Value y = multiply(device, quantised.at(0), quantised.at(1), w, w_scale);
            expect_close("fp8_gemm w8a8 " + c, y, golden[c + "y_w8a8"], 1e-5);
        }
    });
}

TEST(Fp8Gemm, SizesAndTypes) {
    Random random(41);
    struct Size {
        int64_t t, n, k;
    };
    on_every_device([&](Device& device) {
        for (const auto& [t, n, k] :
             {Size{1, 1, 1}, Size{1, 257, 129}, Size{2, 130, 384}, Size{17, 64, 1000}, Size{65, 33, 256},
              Size{3, 24, 7168}, Size{8, 67, 272}, Size{9, 129, 144}, Size{130, 66, 48}}) {
            const Value w = random.value(VKS_F8_E4M3, {n, k}, 100);
            const Value w_scale = random.positive({blocks(n), blocks(k)}, 1e-4, 1e-2);
            const Value x = random.value(VKS_F32, {t, k}), half = cast(x, VKS_BF16);
            expect_close("f32", multiply(device, x, {}, w, w_scale), matmul(x, {}, w, w_scale), 1e-5);
            const auto want = matmul(half, {}, w, w_scale);
            expect_close("bf16", multiply(device, half, {}, w, w_scale, VKS_BF16), want, 4e-3);
            expect_close("bf16 to f32", multiply(device, half, {}, w, w_scale), want, 4e-3);
            const Value codes = random.value(VKS_F8_E4M3, {t, k}, 50);
            const Value scale = random.positive({t, blocks(k)}, 1e-3, 1e-1);
            const auto quantised = matmul(codes, scale, w, w_scale);
            expect_close("w8a8", multiply(device, codes, scale, w, w_scale), quantised, 1e-5);
            expect_close("w8a8 to bf16", multiply(device, codes, scale, w, w_scale, VKS_BF16), quantised, 4e-3);
        }
    });
}

TEST(Fp8Gemm, EveryWeightCode) {
    std::vector<double> codes;
    for (uint32_t code = 0; code < 256; ++code) {
        if ((code & 0x7f) != 0x7f) codes.push_back(decode(VKS_F8_E4M3, code));
    }
    const auto n = static_cast<int64_t>(codes.size());
    const Value w = make(VKS_F8_E4M3, {n, 1}, codes), w_scale = make(VKS_F32, {blocks(n), 1}, {1, 1});
    on_every_device([&](Device& device) {
        const Value y = multiply(device, make(VKS_F32, {1, 1}, {1}), {}, w, w_scale);
        EXPECT_EQ(y.doubles(), codes);
        const Value half = multiply(device, make(VKS_BF16, {1, 1}, {1}), {}, w, w_scale);
        EXPECT_EQ(half.doubles(), codes);
    });
}

TEST(Fp8Gemm, FullScaleAndZeroScales) {
    const int64_t n = 130, k = 260;
    const Value w = make(VKS_F8_E4M3, {n, k}, std::vector<double>(static_cast<size_t>(n * k), 448));
    Value w_scale = make(VKS_F32, {2, 3}, {0, 1, 0, 0.5, 0, 0});
    const Value x = make(VKS_F8_E4M3, {2, k}, std::vector<double>(static_cast<size_t>(2 * k), -448));
    const Value x_scale = make(VKS_F32, {2, 3}, {1, 1, 1, 0, 0, 0});
    on_every_device([&](Device& device) {
        const Value y = multiply(device, x, x_scale, w, w_scale);
        EXPECT_EQ(y.at(0, 0), -448.0 * 448 * 128);
        EXPECT_EQ(y.at(0, 129), -448.0 * 448 * 64);
        EXPECT_EQ(y.at(1, 0), 0);
        EXPECT_EQ(y.at(1, 129), 0);
    });
}

// 128 MiB and a little: more than some devices bind at once.
TEST(Fp8Gemm, LargeMatrix) {
    const int64_t k = 512, n = (int64_t{1} << 18) + 200;
    Value w{VKS_F8_E4M3, {n, k}, std::vector<std::byte>(static_cast<size_t>(n * k))};
    for (size_t i = 0; i < w.bytes.size(); ++i) w.bytes[i] = static_cast<std::byte>((i * 2654435761u >> 16) % 120);
    Random random(42);
    const Value w_scale = random.positive({blocks(n), 4}, 0.5, 2), x = random.value(VKS_F32, {1, k});
    on_every_device([&](Device& device) {
        const Value y = multiply(device, x, {}, w, w_scale);
        for (int64_t row = 0; row < n; row += row < n - 300 ? 2039 : 1) {
            const Value scale = slice(w_scale, row / 128, 1);
            const double want = matmul(x, {}, slice(w, row, 1), scale).at(0);
            ASSERT_NEAR(y.at(row), want, 0.1) << "column " << row;  // 512 terms up to 1e3, which cancel
        }
    });
}

// bf16 reaches further than f16: as a whole, between rows, and along a row, also within 128 elements of it.
TEST(Fp8Gemm, RangesOfActivations) {
    const int64_t t = 20, n = 40, k = 272;
    Random random(43);
    const Value w = random.value(VKS_F8_E4M3, {n, k}, 100), w_scale = random.positive({1, 3}, 1e-4, 1e-2);
    const std::vector<double> narrow = random.value(VKS_F32, {t, k}).doubles();
    const std::function<int64_t(int64_t)> exponents[] = {[](int64_t column) { return column / 8; },
                                                         [](int64_t column) { return -column / 8; },
                                                         [](int64_t column) { return column < 128 ? 30 : -30; },
                                                         [](int64_t) { return -90; }, [](int64_t) { return 60; }};
    for (const auto& exponent : exponents) {
        std::vector<double> wide = narrow;
        for (int64_t i = 0; i < t * k; ++i)
            wide[static_cast<size_t>(i)] *= std::exp2(double(5 * (i / k % 5 - 2) + exponent(i % k)));
        const Value x = make(VKS_BF16, {t, k}, wide);
        on_every_device([&](Device& device) {
            const Value y = multiply(device, x, {}, w, w_scale);
            for (int64_t row = 0; row < t; ++row)
                expect_close("row", slice(y, row, 1), matmul(slice(x, row, 1), {}, w, w_scale), 4e-3);
        });
    }
    on_every_device([&](Device& device) {
        const Value y = multiply(device, zeros(VKS_BF16, {t, k}), {}, w, w_scale, VKS_BF16);
        EXPECT_EQ(y.doubles(), std::vector<double>(size_t{t * n}));
    });
}

// Infinity and NaN stay in their rows, which share tiles with others.
TEST(Fp8Gemm, InfinityKeepsToItsRow) {
    const int64_t t = 12, n = 9, k = 64;
    Random random(44);
    const Value w = random.value(VKS_F8_E4M3, {n, k}, 100), w_scale = make(VKS_F32, {1, 1}, {0.01});
    Value x = random.value(VKS_BF16, {t, k});
    const auto set = [&](int64_t row, int64_t column, uint16_t bits) {
        std::memcpy(&x.bytes[static_cast<size_t>(2 * (row * k + column))], &bits, sizeof bits);
    };
    set(3, 5, 0xff80);
    set(4, 40, 0x7fc0);
    on_every_device([&](Device& device) {
        const Value y = multiply(device, x, {}, w, w_scale);
        for (int64_t row = 0; row < t; ++row) {
            const Value found = slice(y, row, 1);
            if (row == 3 || row == 4) {
                for (const double v : found.doubles()) EXPECT_FALSE(std::isfinite(v)) << row;
            } else {
                expect_close("row", found, matmul(slice(x, row, 1), {}, w, w_scale), 4e-3);
            }
        }
    });
}

// One NaN among the weights or activations is NaN in each sum it is part of, and in no other.
TEST(Fp8Gemm, NotANumber) {
    Value w = zeros(VKS_F8_E4M3, {33, 64}), x = zeros(VKS_F8_E4M3, {3, 64});
    w.bytes[7 * 64 + 21] = std::byte{0xff};
    x.bytes[1 * 64 + 63] = std::byte{0x7f};
    const Value w_scale = make(VKS_F32, {1, 1}, {1}), x_scale = make(VKS_F32, {3, 1}, {1, 1, 1});
    on_every_device([&](Device& device) {
        const Value y = multiply(device, x, x_scale, w, w_scale);
        for (int64_t i = 0; i < y.count(); ++i)
            EXPECT_EQ(std::isnan(y.at(i)), i / 33 == 1 || i % 33 == 7) << "element " << i;
    });
}

}  // namespace
}  // namespace vks::test
