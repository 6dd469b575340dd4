// mtp_merge/1: rms_norm twice, into either half of y's rows. Bound: memory bandwidth.
#include "plugins/args/ops/mtp_merge.h"

#include "plugins/vulkan/rows.h"
#include "shaders/rms_norm.h"

namespace vks::vulkan {
namespace {

using namespace args::mtp_merge;

constexpr size_t kRowArgs[] = {kE, kH, kY};

Program half(const Caps& caps, const Signature& s, size_t x, size_t w) {
    return row_program(caps, "rms_norm", s.args[x].dim[1],
                       {{"X", s.args[x].dtype}, {"W", s.args[w].dtype}, {"Y", s.args[kY].dtype}});
}

Recipe recipe(const Caps& caps, const Signature& s) {
    Recipe recipe = row_recipe(caps, s, kRowArgs, half(caps, s, kE, kWe));
    recipe.programs.push_back(half(caps, s, kH, kWh));
    return recipe;
}

void encode(Encoder& e, const Signature& s) {
    const auto columns = uint32_t(s.args[kE].dim[1]);
    const float eps = s.get<vks_norm_params>().eps;
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const Groups groups = e.spread(range.count);
        e.dispatch(0, {range[kE], e.arg(kWe), range[kY]},
                   shaders::RmsNormPush{range.rows(), columns, 2 * columns, 0, eps}, groups);
        e.dispatch(1, {range[kH], e.arg(kWh), range[kY]},
                   shaders::RmsNormPush{range.rows(), columns, 2 * columns, columns, eps}, groups);
    });
}

}  // namespace

extern constinit const Op op_mtp_merge = {"mtp_merge/1", sizeof(vks_norm_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
