// gemm/1 against double products: f32 rel 1e-5, bf16 output 4e-3.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

Value multiply(Device& device, const Value& x, const Value& w, uint32_t y = VKS_F32) {
    return OpRun("gemm/1").in(x).constant(w).out(y, {x.rows(), w.rows()}).on(device).at(0);
}

TEST(Gemm, Golden) {
    const Golden golden("ops/block_gemm.safetensors");
    on_every_device([&](Device& device) {
        for (int i = 0; golden.has(fmt::format("c{}.x", i)); ++i) {
            const std::string c = fmt::format("c{}.", i);
            const Value y = multiply(device, golden[c + "x"], golden[c + "w_dequant"]);
            expect_close("gemm " + c, y, golden[c + "y_dequant"], 1e-5);
        }
    });
}

TEST(Gemm, SizesAndTypes) {
    Random random(51);
    struct Size {
        int64_t t, n, k;
    };
    on_every_device([&](Device& device) {
        for (const auto& [t, n, k] :
             {Size{1, 1, 1}, Size{1, 257, 129}, Size{2, 130, 384}, Size{17, 64, 1000}, Size{65, 33, 256},
              Size{3, 24, 7168}, Size{5, 7, 31}, Size{8, 67, 272}, Size{9, 129, 144}, Size{130, 66, 48}}) {
            for (uint32_t w_type : {VKS_F32, VKS_BF16, VKS_F16}) {
                const Value w = random.value(w_type, {n, k}), x = random.value(VKS_F32, {t, k}),
                            half = cast(x, VKS_BF16);
                expect_close("f32", multiply(device, x, w), matmul(x, w), 1e-5);
                const auto want = matmul(half, w);
                expect_close("bf16", multiply(device, half, w, VKS_BF16), want, 4e-3);
                expect_close("bf16 to f32", multiply(device, half, w), want, 4e-3);
                expect_close("f32 to bf16", multiply(device, x, w, VKS_BF16), matmul(x, w), 4e-3);
            }
        }
    });
}

TEST(Gemm, ZeroTimesAnything) {
    on_every_device([&](Device& device) {
        const Value y = multiply(device, zeros(VKS_F32, {2, 64}), Random(52).value(VKS_BF16, {9, 64}));
        EXPECT_EQ(y.doubles(), std::vector<double>(18));
    });
}

}  // namespace
}  // namespace vks::test
