// head_gemm/1: EXPAND is gemm per head, ABSORB has a shader of its own. Bound: bytes of w for few rows of x, else
// arithmetic.
#include "plugins/args/ops/head_gemm.h"

#include <algorithm>
#include <bit>

#include "plugins/vulkan/matmul.h"
#include "shaders/head_gemm.h"

namespace vks::vulkan {
namespace {

using namespace args::head_gemm;

bool absorbs(const Signature& s) {
    return s.get<vks_head_gemm_params>().mode == VKS_HEAD_ABSORB;
}

// Four columns a lane: a row's bytes are read side by side. On devices run by the CPU as many as 16 bytes hold.
Matmul absorb(const Caps& caps, const Signature& s, uint32_t rows) {
    const int64_t lora = s.get<vks_head_gemm_params>().lora;
    const uint32_t tokens = std::bit_ceil(std::clamp(rows, 1u, 4u)), subgroup = std::bit_floor(caps.subgroup);
    const uint32_t lanes = std::bit_ceil(uint32_t(std::clamp<int64_t>((lora + 3) / 4, 1, 64)));
    const bool wide = caps.software && caps.subgroup_arithmetic && subgroup >= 4 && lora % 16 == 0;
    Program program{wide ? "head_absorb.subgroup" : "head_absorb",
                    caps.software ? subgroup : std::bit_floor(std::min(caps.max_invocations, lanes)),
                    {{"X", s.args[kX].dtype},
                     {"W", s.args[kW].dtype},
                     {"Y", s.args[kY].dtype},
                     {"VECTOR", lora % 4 == 0 ? 1u : 0u},
                     {"HALF", caps.fp8_by_half ? 1u : 0u},
                     {"TOKENS", tokens}}};
    const uint32_t columns = (wide ? 16 / uint32_t(abi::element_bytes(s.args[kW].dtype)) : 4) * program.workgroup;
    return {std::move(program), tokens, columns};
}

// `declared`: rows of x at their maximum.
Matmul way(const Caps& caps, const Signature& s, int64_t declared) {
    const auto& p = s.get<vks_head_gemm_params>();
    if (absorbs(s)) return absorb(caps, s, uint32_t(std::clamp<int64_t>(declared, 1, 4)));
    const MatmulTypes types{s.args[kX].dtype, s.args[kW].dtype, s.args[kY].dtype, p.lora, p.v};
    return few_rows(caps, "head_gemm", types, declared);
}

int64_t rows_at_once(const Caps& caps, const Signature& s) {
    return rows_per_binding(caps, {s.args[kX], s.args[kY]}, 1);
}

Recipe recipe(const Caps& caps, const Signature& s) {
    Recipe recipe;
    const Arg& w = s.args[kW];
    if (rows_at_once(caps, s) == 0 || rows_per_binding(caps, {w}, 1) < w.rows())
        recipe.refusal = "larger than the device's bindings";
    recipe.programs.push_back(way(caps, s, s.args[kX].rows()).program);
    recipe.variant = absorbs(s) ? "columns" : matmul_name(recipe.programs);
    return recipe;
}

void encode(Encoder& e, const Signature& s) {
    const auto& p = s.get<vks_head_gemm_params>();
    const Matmul cut = way(e.caps(), s, e.declared().args[kX].rows());
    const int64_t rows = s.args[kX].rows(), at_once = rows_at_once(e.caps(), s);
    for (int64_t row = 0, count = 0; row < rows; row += count) {
        count = std::min(at_once, rows - row);
        const uint32_t tiles = uint32_t((count + cut.rows_of_x - 1) / cut.rows_of_x);
        const uint32_t shares = ((absorbs(s) ? p.lora : p.v) + cut.rows_of_w - 1) / cut.rows_of_w;
        const shaders::HeadGemmPush push{uint32_t(count), p.heads, p.nope, p.rope, p.v, p.lora, tiles, shares};
        const Groups groups = e.spread(uint64_t{p.heads} * shares * tiles);
        const uint64_t inner = absorbs(s) ? p.nope : p.v;  // products of it and lora
        const uint64_t operations = 2 * uint64_t(count) * p.heads * inner * p.lora;
        const Bind x = rows_of(e, s, kX, row, count), y = rows_of(e, s, kY, row, count);
        if (absorbs(s)) {
            e.dispatch(0, {x, y, e.arg(kW), e.arg(kWScale)}, push, groups, operations);
        } else {
            e.dispatch(0, {x, Bind{}, y, e.arg(kW), e.arg(kWScale)}, push, groups, operations);
        }
    }
}

}  // namespace

extern constinit const Op op_head_gemm = {"head_gemm/1", sizeof(vks_head_gemm_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
