// Cases of the matrix products and of attention.
#include "backend/conformance/cases.h"

namespace vks::conformance::making {
namespace {

constexpr int64_t kMatrixShapes[][3] = {{1, 64, 128}, {3, 130, 257}, {33, 40, 384}};  // T, N, K

std::string name_of(uint32_t x, uint32_t w, int64_t t, int64_t n, int64_t k) {
    return std::string(abi::dtype_name(x)) + " w " + abi::dtype_name(w) + " T " + std::to_string(t) + " N " +
           std::to_string(n) + " K " + std::to_string(k);
}

std::vector<Argument> join(std::vector<Argument> first, const std::vector<Argument>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

void add_heads(Maker& make) {
    const int64_t heads = 3, nope = 16, rope = 8, v = 12, lora = 40, t = 5;
    for (const uint32_t act : kActs)
        for (const uint32_t weight : {VKS_F32, VKS_BF16, VKS_F8_E4M3}) {
            vks_head_gemm_params p = {VKS_HEAD_ABSORB, heads, nope, rope, v, lora};
            const auto w = make.matrix(weight, heads * (nope + v), lora);
            const std::string name = std::string(abi::dtype_name(act)) + " w " + abi::dtype_name(weight);
            make.add(
                "head_gemm/1", "absorb " + name, p,
                join(join({in(make.random.value(act, {t, heads * (nope + rope)}))}, w), {out(act, {t, heads * lora})}),
                tolerance(act));
            p.mode = VKS_HEAD_EXPAND;
            make.add("head_gemm/1", "expand " + name, p,
                     join(join({in(make.random.value(act, {t, heads * lora}))}, w), {out(act, {t, heads * v})}),
                     tolerance(act));
        }
}

}  // namespace

void add_matrix_cases(Maker& make) {
    for (const auto& [t, n, k] : kMatrixShapes) {
        for (const uint32_t act : kActs) {
            for (const uint32_t weight : {VKS_F32, VKS_BF16, VKS_F16})
                make.add("gemm/1", name_of(act, weight, t, n, k),
                         {in(make.random.value(act, {t, k})), make.matrix(weight, n, k)[0], out(act, {t, n})},
                         tolerance(act));
            make.add("fp8_gemm/1", name_of(act, VKS_F8_E4M3, t, n, k),
                     join(join({in(make.random.value(act, {t, k})), absent()}, make.matrix(VKS_F8_E4M3, n, k)),
                          {out(act, {t, n})}),
                     tolerance(act));
            const int64_t groups = (k + 127) / 128;
            make.add("fp8_gemm/1", name_of(VKS_F8_E4M3, VKS_F8_E4M3, t, n, k) + " to " + abi::dtype_name(act),
                     join(join({in(make.random.value(VKS_F8_E4M3, {t, k}, 40.0)),
                                in(make.random.positive({t, groups}, 0.005, 0.02))},
                               make.matrix(VKS_F8_E4M3, n, k)),
                          {out(act, {t, n})}),
                     tolerance(act));
        }
        make.add("gemm/1", "bf16 to f32 " + name_of(VKS_BF16, VKS_BF16, t, n, k),
                 {in(make.random.value(VKS_BF16, {t, k})), make.matrix(VKS_BF16, n, k)[0], out(VKS_F32, {t, n})},
                 kBf16);
    }
    add_heads(make);
}

void add_attention_cases(Maker& make) {
    const int64_t heads = 3, nope = 16, rope = 8, lora = 40, rows = 21, t = 4;
    for (const uint32_t act : kActs) {
        const std::string name = abi::dtype_name(act);
        Value table = make.random.value(VKS_F32, {t, rope});
        const vks_mla_rope_append_params append = {heads, nope, rope, lora, 1e-6f};
        Argument cache = {Role::kInOut, make.random.value(act, {rows, lora + rope}), 0, Compare::kClose, -1};
        make.add("mla_rope_append/1", name, append,
                 {in(make.random.value(act, {t, heads * (nope + rope)})), in(make.random.value(act, {t, lora + rope})),
                  constant(make.weight(VKS_BF16, lora)), in(table), in(ints({t}, {20, 0, 7, 8})), cache,
                  out(act, {t, heads * rope})},
                 tolerance(act));
        cache.role = Role::kInput;
        const vks_mla_attention_params attend = {heads, lora, rope, 0.2f};
        // One row, all rows, a window, the last row.
        const Value spans = ints({t, 2}, {0, 1, 0, 21, 5, 9, 20, 1});
        make.add("mla_attention/1", name, attend,
                 {in(make.random.value(act, {t, heads * lora})), in(make.random.value(act, {t, heads * rope})), cache,
                  in(spans), out(act, {t, heads * lora})},
                 tolerance(act));
        for (const uint32_t weight : {VKS_BF16, VKS_F8_E4M3}) {
            const int64_t v = 12;
            const vks_mla_expanded_params expanded = {heads, nope, rope, v, lora, 0.2f};
            make.add("mla_expanded/1", name + " w " + abi::dtype_name(weight), expanded,
                     join(join({in(make.random.value(act, {t, heads * (nope + rope)})),
                                in(make.random.value(act, {t, heads * rope})), cache},
                               make.matrix(weight, heads * (nope + v), lora)),
                          {in(spans), out(act, {t, heads * v})}),
                     tolerance(act));
        }
    }
}

}  // namespace vks::conformance::making
