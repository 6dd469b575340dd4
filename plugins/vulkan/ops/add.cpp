// add/1: element by element, whatever the rows. Bound: memory bandwidth.
#include "plugins/args/ops/add.h"

#include "plugins/vulkan/rows.h"
#include "shaders/add.h"

namespace vks::vulkan {
namespace {

using namespace args::add;

constexpr size_t kRowArgs[] = {kA, kB, kY};
constexpr uint32_t kRun = 2048;  // elements of a workgroup; even, so that none writes half a word

Recipe recipe(const Caps& caps, const Signature& s) {
    return row_recipe(
        caps, s, kRowArgs,
        row_program(caps, "add", kRun, {{"A", s.args[kA].dtype}, {"B", s.args[kB].dtype}, {"Y", s.args[kY].dtype}}));
}

void encode(Encoder& e, const Signature& s) {
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const shaders::AddPush push{range.rows() * uint32_t(s.args[kY].dim[1]), kRun};
        e.dispatch(0, {range[kA], range[kB], range[kY]}, push, e.spread((push.count + kRun - 1) / kRun));
    });
}

}  // namespace

extern constinit const Op op_add = {"add/1", 0, check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
