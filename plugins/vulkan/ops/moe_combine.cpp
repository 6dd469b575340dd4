// moe_combine/1: one workgroup per row. Bound: memory bandwidth.
#include "plugins/args/ops/moe_combine.h"

#include "plugins/vulkan/rows.h"
#include "shaders/moe_combine.h"

namespace vks::vulkan {
namespace {

using namespace args::moe_combine;

constexpr size_t kRowArgs[] = {kPos, kWeight, kBase, kOut};
constexpr size_t kParts[] = {kY};
constexpr uint64_t kMostParts = 4;  // of y, as the shader has bindings

Recipe recipe(const Caps& caps, const Signature& s) {
    Recipe recipe =
        row_recipe(caps, s, kRowArgs,
                   row_program(caps, "moe_combine", s.args[kOut].dim[1],
                               {{"Y", s.args[kY].dtype}, {"BASE", s.args[kBase].dtype}, {"OUT", s.args[kOut].dtype}}));
    if (rows_at_once(caps, s, kParts) * kMostParts < uint64_t(s.args[kY].rows()))
        recipe.refusal = "y: larger than four of the device's largest bindings";
    return recipe;
}

void encode(Encoder& e, const Signature& s) {
    const uint64_t y_rows = uint64_t(s.args[kY].rows()), at_once = rows_at_once(e.caps(), s, kParts);
    Bind part[kMostParts];
    for (uint64_t i = 0; i < kMostParts && i * at_once < y_rows; ++i)
        part[i] = RowRange{e, s, i * at_once, std::min(at_once, y_rows - i * at_once)}[kY];
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const shaders::MoeCombinePush push{range.rows(), uint32_t(s.args[kOut].dim[1]), uint32_t(s.args[kPos].dim[1]),
                                           uint32_t(y_rows), uint32_t(at_once)};
        e.dispatch(0, {part[0], part[1], part[2], part[3], range[kPos], range[kWeight], range[kBase], range[kOut]},
                   push, e.spread(push.rows));
    });
}

}  // namespace

extern constinit const Op op_moe_combine = {"moe_combine/1", 0, check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
