// mtp_merge/1 against the golden input of an MTP module (through gemm, rel 1e-5) and a double reference (1e-6).
#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

Value merge(Device& device, const Value& e, const Value& h, const Value& we, const Value& wh, uint32_t y = VKS_F32) {
    return OpRun("mtp_merge/1")
        .params(vks_norm_params{1e-6f})
        .in(e)
        .in(h)
        .constant(we)
        .constant(wh)
        .out(y, {e.rows(), 2 * e.columns()})
        .on(device)
        .at(0);
}

TEST(MtpMerge, Golden) {
    const Golden golden("ops/mtp_input.safetensors");
    on_every_device([&](Device& device) {
        const Value merged = merge(device, golden["embed"], golden["hidden"], golden["enorm"], golden["hnorm"]);
        const Value w = golden["eh_proj"];
        const Value y = OpRun("gemm/1").in(merged).constant(w).out(VKS_F32, {merged.rows(), w.rows()}).on(device).at(0);
        expect_close("mtp_input", y, golden["y"], 1e-5);
        EXPECT_GT(relative_error(y.doubles(), golden["wrong_swapped"].doubles()), 0.1);
    });
}

TEST(MtpMerge, SizesAndTypes) {
    Random random(141);
    on_every_device([&](Device& device) {
        for (int64_t n : {1, 65, 128, 1000}) {
            for (uint32_t act : {VKS_F32, VKS_BF16}) {
                const Value e = random.value(act, {3, n}), h = random.value(act, {3, n}, 10);
                const Value we = random.value(VKS_BF16, {n}), wh = random.value(VKS_F32, {n});
                std::vector<double> want;
                for (int64_t t = 0; t < 3; ++t) {
                    for (const auto& [x, w] : {std::pair(&e, &we), std::pair(&h, &wh)}) {
                        double squares = 0;
                        for (int64_t i = 0; i < n; ++i) squares += x->at(t, i) * x->at(t, i);
                        const double rms = std::sqrt(squares / static_cast<double>(n) + 1e-6);
                        for (int64_t i = 0; i < n; ++i) want.push_back(x->at(t, i) / rms * w->at(i));
                    }
                }
                expect_close("y", merge(device, e, h, we, wh, act), want, act == VKS_F32 ? 1e-6 : 4e-3);
            }
        }
    });
}

}  // namespace
}  // namespace vks::test
