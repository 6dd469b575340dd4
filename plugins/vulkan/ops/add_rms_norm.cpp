// add_rms_norm/1: one workgroup per row. Bound: memory bandwidth.
#include "plugins/args/ops/add_rms_norm.h"

#include "plugins/vulkan/rows.h"
#include "shaders/add_rms_norm.h"

namespace vks::vulkan {
namespace {

using namespace args::add_rms_norm;

constexpr size_t kRowArgs[] = {kX, kDelta, kSum, kY};

Recipe recipe(const Caps& caps, const Signature& s) {
    return row_recipe(caps, s, kRowArgs,
                      row_program(caps, "add_rms_norm", s.args[kX].dim[1],
                                  {{"DELTA", s.args[kDelta].dtype}, {"W", s.args[kW].dtype}, {"Y", s.args[kY].dtype}}));
}

void encode(Encoder& e, const Signature& s) {
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const shaders::AddRmsNormPush push{range.rows(), uint32_t(s.args[kX].dim[1]), s.get<vks_norm_params>().eps};
        e.dispatch(0, {range[kX], range[kDelta], e.arg(kW), range[kSum], range[kY]}, push, e.spread(push.rows));
    });
}

}  // namespace

extern constinit const Op op_add_rms_norm = {
    "add_rms_norm/1", sizeof(vks_norm_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
