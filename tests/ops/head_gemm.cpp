// head_gemm/1 against the golden absorbed queries and double products: f32 rel 1e-5, bf16 output 4e-3.
#include <gtest/gtest.h>

#include "tests/ops/harness.h"

namespace vks::test {
namespace {

Value apply(Device& device, const vks_head_gemm_params& p, const Value& x, const Value& w, const Value& w_scale,
            uint32_t y = VKS_F32) {
    const int64_t columns = p.heads * (p.mode == VKS_HEAD_ABSORB ? p.lora : p.v);
    OpRun run("head_gemm/1");
    run.params(p).in(x).constant(w).constant(w_scale).out(y, {x.rows(), columns});
    return run.on(device).at(0);
}

std::vector<double> reference(const vks_head_gemm_params& p, const Value& x, const Value& w, const Value& w_scale) {
    const std::vector<double> matrix = dequantised(w, w_scale, 128);
    const auto weight = [&](int64_t r, int64_t c) { return matrix[static_cast<size_t>(r * p.lora + c)]; };
    std::vector<double> y;
    for (int64_t t = 0; t < x.rows(); ++t) {
        for (int64_t h = 0; h < p.heads; ++h) {
            const int64_t first = h * (p.nope + p.v);
            if (p.mode == VKS_HEAD_ABSORB) {
                for (int64_t c = 0; c < p.lora; ++c) {
                    double sum = 0;
                    for (int64_t d = 0; d < p.nope; ++d)
                        sum += x.at(t, h * (p.nope + p.rope) + d) * weight(first + d, c);
                    y.push_back(sum);
                }
            } else {
                for (int64_t i = 0; i < p.v; ++i) {
                    double sum = 0;
                    for (int64_t c = 0; c < p.lora; ++c) sum += x.at(t, h * p.lora + c) * weight(first + p.nope + i, c);
                    y.push_back(sum);
                }
            }
        }
    }
    return y;
}

TEST(HeadGemm, GoldenAbsorbedQueries) {
    const Golden golden("ops/mla.safetensors");
    on_every_device([&](Device& device) {
        for (const std::string c : {"c0.", "c1."}) {
            const Value nope = golden[c + "prefill.q_nope"], pe = golden[c + "prefill.q_pe"];
            const int64_t tokens = nope.dim[0], heads = nope.dim[1];
            const Value q =
                concat_columns(reshape(nope, {tokens * heads, nope.dim[2]}), reshape(pe, {tokens * heads, pe.dim[2]}));
            const Value w = golden[c + "w.kv_b_proj.weight"], want = golden[c + "prefill.q_latent"];
            const auto u = [](int64_t n) { return static_cast<uint32_t>(n); };
            const vks_head_gemm_params p{
                VKS_HEAD_ABSORB, u(heads), u(nope.dim[2]), u(pe.dim[2]), u(w.rows() / heads - nope.dim[2]),
                u(w.columns())};
            const Value got = apply(device, p, reshape(q, {tokens, q.count() / tokens}), w, {});
            expect_close("head_gemm absorb " + c, got, want.doubles(), 1e-5);
        }
    });
}

TEST(HeadGemm, SizesTypesAndModes) {
    Random random(61);
    const vks_head_gemm_params sizes[] = {{0, 1, 1, 2, 1, 1},
                                          {0, 3, 40, 8, 24, 72},
                                          {0, 2, 128, 64, 128, 512},
                                          {0, 5, 30, 6, 50, 129},
                                          {0, 2, 24, 4, 66, 48}};
    on_every_device([&](Device& device) {
        for (vks_head_gemm_params p : sizes) {
            for (uint32_t w_type : {VKS_F32, VKS_BF16, VKS_F16, VKS_F8_E4M3}) {
                const Value w = random.value(w_type, {p.heads * (p.nope + p.v), p.lora});
                const Value scale =
                    w_type == VKS_F8_E4M3 ? random.positive({blocks(w.rows()), blocks(w.columns())}, 0.01, 1) : Value{};
                for (p.mode = 0; p.mode < 2; ++p.mode) {
                    const int64_t columns = p.heads * (p.mode == VKS_HEAD_ABSORB ? p.nope + p.rope : p.lora);
                    const int64_t tokens = p.lora == 48 ? 67 : 5;  // more than tiles hold
                    const Value x = random.value(VKS_F32, {tokens, columns}), half = cast(x, VKS_BF16);
                    const std::string mode = p.mode == VKS_HEAD_ABSORB ? "absorb" : "expand";
                    expect_close(mode + " f32", apply(device, p, x, w, scale), reference(p, x, w, scale), 1e-5);
                    expect_close(mode + " bf16", apply(device, p, half, w, scale, VKS_BF16),
                                 reference(p, half, w, scale), 4e-3);
                }
            }
        }
    });
}

// One token and some: the wide latents of the release, in heads that end within a block of scales, on as many threads
// as share out heads, and columns.
TEST(HeadGemm, FewTokensAndWideLatents) {
    Random random(62);
    for (const uint32_t heads : {4u, 12u}) {
        for (const uint32_t lora : {512u, 640u}) {
            for (const uint32_t w_type : {VKS_BF16, VKS_F8_E4M3}) {
                const vks_head_gemm_params p{VKS_HEAD_ABSORB, heads, 48, 8, 16, lora};
                const Value w = random.value(w_type, {heads * 64, lora});
                const Value scale =
                    w_type == VKS_F8_E4M3 ? random.positive({blocks(w.rows()), blocks(lora)}, 0.01, 1) : Value{};
                const Value x = random.value(VKS_BF16, {4, heads * 56});
                const std::vector<double> want = reference(p, x, w, scale);
                const auto check = [&](Device& device) {
                    for (int64_t tokens = 1; tokens <= 4; ++tokens) {
                        const std::vector<double> rows(want.begin(), want.begin() + tokens * heads * lora);
                        const Value few = slice(x, 0, tokens);
                        expect_close("absorb f32", apply(device, p, few, w, scale), rows, 1e-5);
                        expect_close("absorb bf16", apply(device, p, few, w, scale, VKS_BF16), rows, 4e-3);
                    }
                };
                bool cpu = false;
                on_every_device([&](Device& device) {
                    check(device);
                    cpu = std::string(device.plugin().name) == "cpu";
                });
                if (!cpu) continue;
                for (const char* threads : {"threads=1", "threads=3"}) check(device(threads));
            }
        }
    }
}

}  // namespace
}  // namespace vks::test
