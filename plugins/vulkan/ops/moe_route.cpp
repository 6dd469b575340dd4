// moe_route/1: one workgroup per token. Bound: latency.
#include "plugins/args/ops/moe_route.h"

#include "plugins/vulkan/rows.h"
#include "shaders/moe_route.h"

namespace vks::vulkan {
namespace {

using namespace args::moe_route;

constexpr size_t kRowArgs[] = {kLogits, kIdx, kWeight};

Recipe recipe(const Caps& caps, const Signature& s) {
    const auto experts = uint64_t(s.args[kLogits].dim[1]);
    const uint32_t groups = s.get<vks_moe_route_params>().groups;
    Recipe recipe = row_recipe(
        caps, s, kRowArgs,
        row_program(caps, "moe_route", int64_t(experts), {{"EXPERTS", uint32_t(experts)}, {"GROUPS", groups}}));
    // Eight experts an invocation at most: fewer iterations than llvmpipe allows (65535 in all).
    Program& program = recipe.programs[0];
    program.workgroup = std::max(program.workgroup, wide_workgroup(caps, int64_t(experts) / 8));
    // Four words an expert and two a group in shared memory.
    if (16 * experts + 8 * uint64_t{groups} > caps.shared_bytes) recipe.refusal = "logits: more experts than fit";
    return recipe;
}

void encode(Encoder& e, const Signature& s) {
    const auto& p = s.get<vks_moe_route_params>();
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const shaders::MoeRoutePush push{range.rows(), p.groups_kept, p.top_k, p.normalize, p.scaling};
        e.dispatch(0, {range[kLogits], e.arg(kBias), range[kIdx], range[kWeight]}, push, e.spread(push.rows));
    });
}

}  // namespace

extern constinit const Op op_moe_route = {"moe_route/1", sizeof(vks_moe_route_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
