// add_rms_norm/1 against a double reference. The sum is one f32 addition, hence exact to the bit.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

TEST(AddRmsNorm, SumIsExactAndNormalised) {
    Random random(21);
    on_every_device([&](Device& device) {
        for (int64_t n : {1, 33, 64, 300, 7168}) {
            for (uint32_t act : {VKS_F32, VKS_BF16}) {
                const Value x = random.value(VKS_F32, {4, n}, 3), delta = random.value(act, {4, n});
                const Value w = random.value(VKS_BF16, {n});
                Value sum = zeros(VKS_F32, {4, n});
                std::vector<double> want;
                for (int64_t t = 0; t < 4; ++t) {
                    double squares = 0;
                    for (int64_t i = t * n; i < (t + 1) * n; ++i) {
                        sum.set(i, x.at(i) + delta.at(i));
                        squares += sum.at(i) * sum.at(i);
                    }
                    const double rms = std::sqrt(squares / static_cast<double>(n) + 1e-6);
                    for (int64_t i = 0; i < n; ++i) want.push_back(sum.at(t, i) / rms * w.at(i));
                }
                const auto got = OpRun("add_rms_norm/1")
                                     .params(vks_norm_params{1e-6f})
                                     .in(x)
                                     .in(delta)
                                     .constant(w)
                                     .out(VKS_F32, {4, n})
                                     .out(act, {4, n})
                                     .on(device);
                expect_same_bits("sum", got.at(0), sum);
                expect_close("y", got.at(1), want, act == VKS_F32 ? 1e-6 : 4e-3);
            }
        }
    });
}

}  // namespace
}  // namespace vks::test
