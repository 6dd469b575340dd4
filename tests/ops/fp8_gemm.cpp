// fp8_gemm/1 against the goldens and double products: f32 rel 1e-5 (block sums of 128 terms), bf16 output 4e-3.
#include <fmt/format.h>
#include <gtest/gtest.h>

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
        for (const auto& [t, n, k] : {Size{1, 1, 1}, Size{1, 257, 129}, Size{2, 130, 384}, Size{17, 64, 1000},
                                      Size{65, 33, 256}, Size{3, 24, 7168}}) {
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

}  // namespace
}  // namespace vks::test
