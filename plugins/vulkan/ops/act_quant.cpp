// act_quant/1: one workgroup per group of 128. Bound: memory bandwidth.
#include "plugins/args/ops/act_quant.h"

#include "plugins/vulkan/rows.h"
#include "shaders/act_quant.h"

namespace vks::vulkan {
namespace {

using namespace args::act_quant;

constexpr size_t kRowArgs[] = {kX, kQ, kScale};

Recipe recipe(const Caps& caps, const Signature& s) {
    // An invocation makes a word: four codes.
    return row_recipe(caps, s, kRowArgs, row_program(caps, "act_quant", args::kBlock / 4, {{"X", s.args[kX].dtype}}));
}

void encode(Encoder& e, const Signature& s) {
    const int64_t columns = s.args[kX].dim[1];
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const shaders::ActQuantPush push{range.rows(), uint32_t(columns), s.get<vks_act_quant_params>().ue8m0};
        e.dispatch(0, {range[kX], range[kQ], range[kScale]}, push,
                   e.spread(range.count * uint64_t(args::blocks(columns))));
    });
}

}  // namespace

extern constinit const Op op_act_quant = {"act_quant/1", sizeof(vks_act_quant_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
