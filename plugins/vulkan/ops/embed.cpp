// embed/1: one workgroup per row. A table larger than a binding comes in parts, a dispatch each, of which every one
// writes the rows it holds. Bound: memory bandwidth.
#include "plugins/args/ops/embed.h"

#include "plugins/vulkan/rows.h"
#include "shaders/embed.h"

namespace vks::vulkan {
namespace {

using namespace args::embed;

constexpr size_t kParts[] = {kTable};
constexpr size_t kRowArgs[] = {kIds, kY};

Recipe recipe(const Caps& caps, const Signature& s) {
    Recipe recipe = row_recipe(
        caps, s, kRowArgs,
        row_program(caps, "embed", s.args[kY].dim[1], {{"TABLE", s.args[kTable].dtype}, {"Y", s.args[kY].dtype}}));
    if (rows_at_once(caps, s, kParts) == 0) recipe.refusal = "table: rows longer than the device's largest binding";
    return recipe;
}

void encode(Encoder& e, const Signature& s) {
    const Arg& table = s.args[kTable];
    const uint64_t rows = uint64_t(table.rows()), at_once = rows_at_once(e.caps(), s, kParts);
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        uint64_t first = 0;
        do {  // once for an empty table, too: its rows are zeros
            const RowRange part{e, s, first, std::min(at_once, rows - first)};
            const shaders::EmbedPush push{range.rows(), uint32_t(table.dim[1]), uint32_t(first),
                                          uint32_t(first + part.count), uint32_t(rows)};
            e.dispatch(0, {range[kIds], part[kTable], range[kY]}, push, e.spread(push.rows));
            first += at_once;
        } while (first < rows);
    });
}

}  // namespace

extern constinit const Op op_embed = {"embed/1", 0, check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
