// swiglu_quant/1 against the golden (rel 1e-6) and a double reference. FP8 output: within half a step of h, since an
// exponential a bit off may move a value over the edge between two codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

std::vector<double> reference(const Value& gate, const Value& up) {
    std::vector<double> h;
    for (int64_t i = 0; i < gate.count(); ++i) h.push_back(gate.at(i) / (1 + std::exp(-gate.at(i))) * up.at(i));
    return h;
}

Value apply(Device& device, const Value& gate, const Value& up, uint32_t y = VKS_F32) {
    return OpRun("swiglu_quant/1").in(gate).in(up).out(y, gate.dim).absent().on(device).at(0);
}

TEST(SwigluQuant, Golden) {
    const Golden golden("ops/norm_swiglu.safetensors");
    on_every_device([&](Device& device) {
        const Value gate = golden["swiglu.gate"], up = golden["swiglu.up"];
        const int64_t n = gate.count();
        const Value got = apply(device, reshape(gate, {1, n}), reshape(up, {1, n}));
        expect_close("swiglu", got, golden["swiglu.y"], 1e-6);
        const Value want = golden["swiglu.y"];
        for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(got.at(i), want.at(i), 1e-5 * std::fabs(want.at(i)) + 1e-30) << i;
    });
}

TEST(SwigluQuant, SizesAndTypes) {
    Random random(91);
    on_every_device([&](Device& device) {
        for (int64_t n : {1, 40, 127, 129, 2048}) {
            const Value gate = random.value(VKS_F32, {3, n}, 4), up = random.value(VKS_F32, {3, n});
            expect_close("f32", apply(device, gate, up), reference(gate, up), 1e-6);
            const Value g = cast(gate, VKS_BF16), h = cast(up, VKS_BF16);
            expect_close("bf16", apply(device, g, h, VKS_BF16), reference(g, h), 4e-3);
        }
    });
}

TEST(SwigluQuant, QuantisedOutput) {
    Random random(92);
    on_every_device([&](Device& device) {
        for (uint32_t act : {VKS_F32, VKS_BF16}) {
            for (int64_t n : {1, 128, 300}) {
                Value gate = random.value(act, {4, n}, 4), up = random.value(act, {4, n});
                for (int64_t i = 0; i < n; ++i) up.set(i, 0);  // a row of zeros: amax below 1e-4
                OpRun run("swiglu_quant/1");
                run.in(gate).in(up).out(VKS_F8_E4M3, gate.dim).out(VKS_F32, {4, blocks(n)});
                const auto got = run.on(device);
                const auto h = reference(gate, up);
                EXPECT_EQ(got.at(1).at(0, 0), 1e-4f / 448.0f);
                for (int64_t i = 0; i < gate.count(); ++i) {
                    const double scale = got.at(1).at(i / n, i % n / 128), want = h[static_cast<size_t>(i)] / scale;
                    const double half_step = std::max(std::fabs(want) / 16, 0x1p-10);
                    ASSERT_NEAR(got.at(0).at(i), want, half_step * 1.0001) << i;
                }
                for (int64_t t = 0; t < 4; ++t) {  // the largest of a group is full scale
                    for (int64_t b = 0; b < blocks(n); ++b) {
                        double amax = 1e-4;
                        for (int64_t i = b * 128; i < std::min(n, b * 128 + 128); ++i) {
                            amax = std::max(amax, std::fabs(h[static_cast<size_t>(t * n + i)]));
                        }
                        EXPECT_NEAR(got.at(1).at(t, b), amax / 448, amax * 1e-8);
                    }
                }
            }
        }
    });
}

}  // namespace
}  // namespace vks::test
