// moe_dispatch/1: one workgroup per list, or one invocation where the device is run by the CPU and the pairs are few.
// Bound: cache bandwidth.
#include "plugins/args/ops/moe_dispatch.h"

#include "plugins/vulkan/rows.h"
#include "shaders/moe_dispatch.h"

namespace vks::vulkan {
namespace {

using namespace args::moe_dispatch;

enum { kSliced, kSerial };  // programs

// llvmpipe ends an invocation's loops after 65535 iterations altogether; the serial program reads all pairs twice.
constexpr uint32_t kSerialPairs = 16384;

Recipe recipe(const Caps& caps, const Signature& s) {
    const Arg& idx = s.args[kIdx];
    const int64_t pairs = idx.dim[0] * idx.dim[1];
    Recipe recipe = row_recipe(row_program(caps, "moe_dispatch", pairs, {{"SERIAL", 0}}));
    if (caps.software) recipe.programs.push_back(row_program(caps, "moe_dispatch", pairs, {{"SERIAL", 1}}));
    if (uint64_t(idx.dim[0]) * row_bytes(idx) > caps.max_binding)
        recipe.refusal = "idx: larger than the device's largest binding";
    return recipe;
}

void encode(Encoder& e, const Signature& s) {
    const Arg& idx = s.args[kIdx];
    const auto& p = s.get<vks_moe_dispatch_params>();
    const shaders::MoeDispatchPush push{uint32_t(idx.dim[0] * idx.dim[1]), uint32_t(idx.dim[1]), p.first, p.count};
    const bool serial = e.caps().software && push.pairs <= kSerialPairs;
    const uint64_t lists = uint64_t{p.count} + 1;  // the last: pairs of other shards
    const uint64_t a_group = serial ? row_workgroup(e.caps(), 1) : 1;
    e.dispatch(serial ? kSerial : kSliced, {e.arg(kIdx), e.arg(kOffset), e.arg(kRow), e.arg(kPos)}, push,
               e.spread((lists + a_group - 1) / a_group));
}

}  // namespace

extern constinit const Op op_moe_dispatch = {
    "moe_dispatch/1", sizeof(vks_moe_dispatch_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
