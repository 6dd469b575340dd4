// rms_norm/1: one workgroup per row. Bound: memory bandwidth.
#include "plugins/args/ops/rms_norm.h"

#include "plugins/vulkan/rows.h"
#include "shaders/rms_norm.h"

namespace vks::vulkan {
namespace {

using namespace args::rms_norm;

Recipe recipe(const Caps& caps, const Signature& s) {
    return row_recipe(row_program(caps, "rms_norm", s.args[kX].dim[1],
                                  {{"X", s.args[kX].dtype}, {"W", s.args[kW].dtype}, {"Y", s.args[kY].dtype}}));
}

void encode(Encoder& e, const Signature& s) {
    const Arg& x = s.args[kX];
    const shaders::RmsNormPush push{uint32_t(x.rows()), uint32_t(x.dim[1]), s.get<vks_norm_params>().eps};
    e.dispatch(0, {e.arg(kX), e.arg(kW), e.arg(kY)}, push, e.spread(push.rows));
}

}  // namespace

extern constinit const Op op_rms_norm = {"rms_norm/1", sizeof(vks_norm_params), check, recipe, encode};

}  // namespace vks::vulkan
