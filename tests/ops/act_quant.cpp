// act_quant/1: codes and scales are exact, since IEEE division leaves no choice.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

std::vector<Value> quantise(Device& device, const Value& x, uint32_t ue8m0 = 0) {
    return OpRun("act_quant/1")
        .params(vks_act_quant_params{ue8m0})
        .in(x)
        .out(VKS_F8_E4M3, x.dim)
        .out(VKS_F32, {x.rows(), blocks(x.columns())})
        .on(device);
}

TEST(ActQuant, Golden) {
    const Golden golden("ops/act_quant.safetensors");
    on_every_device([&](Device& device) {
        const auto got = quantise(device, golden["x"]);
        expect_same_bits("q", got.at(0), golden["q"]);
        expect_same_bits("scale", got.at(1), golden["scale"]);
        const auto dequant = dequantised(got.at(0), got.at(1), 1);
        expect_close("act_quant dequant", golden["dequant"], dequant, 1e-7);
        const auto rounded = quantise(device, golden["x"], 1);
        expect_same_bits("q_ue8m0", rounded.at(0), golden["q_ue8m0"]);
        expect_same_bits("scale_ue8m0", rounded.at(1), golden["scale_ue8m0"]);
    });
}

// In f32 arithmetic, as the definition has it.
std::vector<Value> reference(const Value& x) {
    Value q = zeros(VKS_F8_E4M3, x.dim), scale = zeros(VKS_F32, {x.rows(), blocks(x.columns())});
    for (int64_t t = 0; t < x.rows(); ++t) {
        for (int64_t g = 0; g < scale.columns(); ++g) {
            const int64_t first = g * 128, last = std::min(first + 128, x.columns());
            float amax = 1e-4f;
            for (int64_t i = first; i < last; ++i) amax = std::fmax(amax, static_cast<float>(std::fabs(x.at(t, i))));
            const float s = amax / 448.0f;
            scale.set(t * scale.columns() + g, s);
            for (int64_t i = first; i < last; ++i) q.set(t * x.columns() + i, static_cast<float>(x.at(t, i)) / s);
        }
    }
    return {q, scale};
}

TEST(ActQuant, SizesTypesAndEdges) {
    Random random(31);
    std::vector<Value> cases = {
        zeros(VKS_F32, {2, 128}),                         // nothing but zeros
        make(VKS_F32, {1, 4}, {448, -448, 447.99, 0.5}),  // exactly full scale
        make(VKS_F32, {1, 3}, {1e-30, -1e-30, 9e-5}),     // below the smallest amax
        make(VKS_F32, {1, 3}, {3e38, -1e30, 1}),          // near overflow
        random.value(VKS_F32, {1, 1}),
        random.value(VKS_F32, {64, 7168}, 10),
        random.value(VKS_F32, {7, 129}, 1e-3),
    };
    for (int64_t n : {127, 128, 255, 257, 2048}) cases.push_back(random.value(VKS_BF16, {3, n}, 100));
    on_every_device([&](Device& device) {
        for (const Value& x : cases) {
            const auto got = quantise(device, x), want = reference(x);
            expect_same_bits("q", got.at(0), want.at(0));
            expect_same_bits("scale", got.at(1), want.at(1));
        }
    });
}

// Quotients at and beside the middle of two codes, where a division that is an ulp off shows.
TEST(ActQuant, BetweenTwoCodes) {
    Random random(32);
    Value x = zeros(VKS_F32, {200, 128});
    for (int64_t t = 0; t < x.rows(); ++t) {
        const float most = static_cast<float>(1 + 1000 * random.uniform()), scale = most / 448.0f;
        x.set(t * 128, most);
        for (int64_t i = 1; i < 128; ++i) {
            const auto code = static_cast<uint32_t>(random.below(0x7e));
            const double middle = (decode(VKS_F8_E4M3, code) + decode(VKS_F8_E4M3, code + 1)) / 2;
            float v = static_cast<float>(middle * scale);
            for (int64_t ulps = random.below(3); ulps > 0; --ulps) v = std::nextafter(v, i % 2 == 0 ? 0.0f : most);
            x.set(t * 128 + i, i % 3 == 0 ? -v : v);
        }
    }
    on_every_device([&](Device& device) {
        const auto got = quantise(device, x), want = reference(x);
        expect_same_bits("q", got.at(0), want.at(0));
        expect_same_bits("scale", got.at(1), want.at(1));
    });
}

// Rows that begin anywhere in a word, and more of them than one run of a small device takes.
TEST(ActQuant, ManyOddRows) {
    Random random(33);
    const Value x = random.value(VKS_F32, {1100, 131}, 3);
    on_every_device([&](Device& device) {
        const auto got = quantise(device, x), want = reference(x);
        expect_same_bits("q", got.at(0), want.at(0));
        expect_same_bits("scale", got.at(1), want.at(1));
    });
}

}  // namespace
}  // namespace vks::test
