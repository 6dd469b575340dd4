// rms_norm/1 against the golden and a double reference. f32: a sum of up to 7168 squares, rel 1e-6 over all and 1e-5
// per row; bf16 output rounds by up to 2^-9.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

std::vector<double> reference(const Value& x, const Value& w, double eps) {
    std::vector<double> y;
    for (int64_t t = 0; t < x.rows(); ++t) {
        double sum = 0;
        for (int64_t i = 0; i < x.columns(); ++i) sum += x.at(t, i) * x.at(t, i);
        const double rms = std::sqrt(sum / static_cast<double>(x.columns()) + eps);
        for (int64_t i = 0; i < x.columns(); ++i) y.push_back(x.at(t, i) / rms * w.at(i));
    }
    return y;
}

Value normalise(Device& device, const Value& x, const Value& w, float eps, uint32_t y = VKS_F32) {
    return OpRun("rms_norm/1").params(vks_norm_params{eps}).in(x).constant(w).out(y, x.dim).on(device).at(0);
}

TEST(RmsNorm, Golden) {
    const Golden golden("ops/norm_swiglu.safetensors");
    on_every_device([&](Device& device) {
        for (const std::string c : {"c0.", "c1.", "c2."}) {
            const Value x = golden[c + "x"], want = golden[c + "y"];
            const Value got = normalise(device, x, golden[c + "w"], static_cast<float>(golden[c + "eps"].at(0)));
            expect_close("rms_norm " + c, got, want, 1e-6);
            EXPECT_LE(largest_row_error(got.doubles(), want.doubles(), x.columns()), 1e-5) << c;
        }
    });
}

TEST(RmsNorm, TypesAndOddSizes) {
    Random random(11);
    on_every_device([&](Device& device) {
        for (int64_t n : {1, 2, 31, 129, 512, 1000}) {
            for (uint32_t w_type : {VKS_F32, VKS_BF16, VKS_F16}) {
                const Value w = random.value(w_type, {n});
                const Value x = random.value(VKS_F32, {3, n});
                expect_close("f32", normalise(device, x, w, 1e-6f), reference(x, w, 1e-6), 1e-6);
                const Value half = cast(x, VKS_BF16);
                expect_close("bf16", normalise(device, half, w, 1e-6f, VKS_BF16), reference(half, w, 1e-6), 4e-3);
                expect_close("bf16 to f32", normalise(device, half, w, 1e-6f), reference(half, w, 1e-6), 1e-6);
            }
        }
    });
}

TEST(RmsNorm, ZeroRowStaysZero) {
    on_every_device([&](Device& device) {
        const Value x = zeros(VKS_F32, {2, 64});
        expect_same_bits("y", normalise(device, x, Random(12).positive({64}, 0.5, 1), 1e-6f), x);
    });
}

}  // namespace
}  // namespace vks::test
