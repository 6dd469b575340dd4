// The CPU plugin's number formats against the golden codec and the definitions: exact, NaN for NaN.
#include <gtest/gtest.h>

#include <cmath>

#include "plugins/cpu/numeric.h"
#include "plugins/cpu/quant.h"
#include "tests/ops/harness.h"

namespace vks::test {
namespace {

TEST(CpuNumeric, Fp8Golden) {
    const Golden golden("ops/fp8_codec.safetensors");
    const Value table = golden["decode.table"], x = golden["encode.x"], code = golden["encode.code"];
    for (uint32_t i = 0; i < 256; ++i) {
        const double want = table.at(i), got = cpu::kF8Value[i];
        EXPECT_TRUE(got == want || (std::isnan(got) && std::isnan(want))) << i;
        EXPECT_EQ(std::signbit(got), (i & 0x80) != 0) << i;
    }
    for (int64_t i = 0; i < x.count(); ++i) {
        const uint32_t got = cpu::to_f8(static_cast<float>(x.at(i))).bits;
        const bool both_nan = (got & 0x7f) == 0x7f && (static_cast<uint32_t>(code.at(i)) & 0x7f) == 0x7f;
        EXPECT_TRUE(got == code.at(i) || both_nan) << x.at(i);
    }
}

// Every code of a 16-bit format, the midpoint above it, and the f32 neighbours of the midpoint.
template <class T, class Encode>
void expect_codec(uint32_t dtype, Encode encode_f32) {
    for (uint32_t code = 0; code < 0x10000; ++code) {
        const double want = decode(dtype, code);
        const float got = cpu::to_float(T{static_cast<uint16_t>(code)});
        ASSERT_TRUE(got == want || (std::isnan(got) && std::isnan(want))) << code;
        if (std::isnan(want)) {
            ASSERT_TRUE(std::isnan(cpu::to_float(encode_f32(got)))) << code;
            continue;
        }
        ASSERT_EQ(encode_f32(got).bits, code);
        const double next = decode(dtype, code + 1 < 0x10000 ? code + 1 : code);
        if (!std::isfinite(want) || std::isnan(next)) continue;
        const float middle = std::isinf(next) ? std::nextafter(static_cast<float>(want), INFINITY)
                                              : static_cast<float>((want + next) / 2);
        for (float x : {middle, std::nextafter(middle, -INFINITY), std::nextafter(middle, INFINITY)}) {
            ASSERT_EQ(encode_f32(x).bits, encode(dtype, x)) << code << " " << x;
        }
    }
}

TEST(CpuNumeric, Bf16AndF16) {
    expect_codec<cpu::Bf16>(VKS_BF16, [](float x) { return cpu::to_bf16(x); });
    expect_codec<cpu::F16>(VKS_F16, [](float x) { return cpu::to_f16(x); });
    for (float x : {65519.99f, 65520.0f, 65536.0f, 1e30f, INFINITY, -65519.99f, -65520.0f, 1e-9f, -0.0f}) {
        EXPECT_EQ(cpu::to_f16(x).bits, encode(VKS_F16, x)) << x;
    }
}

TEST(CpuNumeric, PowerOfTwoAtOrAbove) {
    for (float s : {1.0f, 0.5f, 3.0f, 4.0f, 2.2e-7f, 1.0000001f, 0x1p-22f}) {
        const float got = cpu::round_up_to_power_of_two(s);
        EXPECT_EQ(got, std::exp2(std::ceil(std::log2(static_cast<double>(s))))) << s;
    }
}

}  // namespace
}  // namespace vks::test
