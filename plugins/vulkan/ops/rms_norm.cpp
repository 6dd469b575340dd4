// rms_norm/1: one workgroup per row. Bound: memory bandwidth.
#include "plugins/args/ops/rms_norm.h"

#include "plugins/vulkan/rows.h"
#include "shaders/rms_norm.h"

namespace vks::vulkan {
namespace {

using namespace args::rms_norm;

constexpr size_t kRowArgs[] = {kX, kY};

Recipe recipe(const Caps& caps, const Signature& s) {
    return row_recipe(caps, s, kRowArgs,
                      row_program(caps, "rms_norm", s.args[kX].dim[1],
                                  {{"X", s.args[kX].dtype}, {"W", s.args[kW].dtype}, {"Y", s.args[kY].dtype}}));
}

void encode(Encoder& e, const Signature& s) {
    const auto columns = uint32_t(s.args[kX].dim[1]);
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const shaders::RmsNormPush push{range.rows(), columns, columns, 0, s.get<vks_norm_params>().eps};
        e.dispatch(0, {range[kX], e.arg(kW), range[kY]}, push, e.spread(push.rows));
    });
}

}  // namespace

extern constinit const Op op_rms_norm = {"rms_norm/1", sizeof(vks_norm_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
