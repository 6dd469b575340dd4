// add/1: one rounded addition, hence exact to the bit in every type.
#include <gtest/gtest.h>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

TEST(Add, IsExact) {
    Random random(131);
    on_every_device([&](Device& device) {
        for (int64_t n : {1, 31, 64, 257, 7168}) {
            for (uint32_t a_type : {VKS_F32, VKS_BF16}) {
                for (uint32_t y_type : {VKS_F32, VKS_BF16}) {
                    const Value a = random.value(a_type, {3, n}), b = random.value(a_type, {3, n}, 100);
                    Value sum = zeros(VKS_F32, {3, n});
                    for (int64_t i = 0; i < sum.count(); ++i) sum.set(i, a.at(i) + b.at(i));
                    const auto got = OpRun("add/1").in(a).in(b).out(y_type, {3, n}).on(device);
                    expect_same_bits("y", got.at(0), cast(sum, y_type));
                }
            }
        }
    });
}

}  // namespace
}  // namespace vks::test
