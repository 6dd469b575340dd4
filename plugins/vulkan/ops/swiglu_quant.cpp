// swiglu_quant/1: one workgroup per group of 128 when y is e4m3, else element by element. Bound: memory bandwidth.
#include "plugins/args/ops/swiglu_quant.h"

#include "plugins/vulkan/rows.h"
#include "shaders/swiglu_quant.h"

namespace vks::vulkan {
namespace {

using namespace args::swiglu_quant;

constexpr size_t kRowArgs[] = {kGate, kUp, kY, kScale};
constexpr uint32_t kRun = 2048;  // elements of a workgroup that doesn't quantise; even: none writes half a word

Recipe recipe(const Caps& caps, const Signature& s) {
    const uint32_t y = s.args[kY].dtype;
    return row_recipe(caps, s, kRowArgs,
                      row_program(caps, "swiglu_quant", y == VKS_F8_E4M3 ? args::kBlock / 4 : kRun,
                                  {{"GATE", s.args[kGate].dtype}, {"UP", s.args[kUp].dtype}, {"Y", y}}));
}

void encode(Encoder& e, const Signature& s) {
    const bool quantise = s.args[kY].dtype == VKS_F8_E4M3;
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        shaders::SwigluQuantPush push{range.rows(), uint32_t(s.args[kY].dim[1]), uint32_t(args::kBlock)};
        if (!quantise) push = {1, push.rows * push.columns, kRun};
        const uint64_t runs = (uint64_t{push.columns} + push.run - 1) / push.run;
        e.dispatch(0, {range[kGate], range[kUp], range[kY], range[kScale]}, push, e.spread(push.rows * runs));
    });
}

}  // namespace

extern constinit const Op op_swiglu_quant = {"swiglu_quant/1", 0, check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
