// topk/1: one workgroup per segment of a row, then one per row that selects from the segments' lists. Bound: k readings
// of the row out of the cache.
#include "plugins/args/ops/topk.h"

#include "plugins/vulkan/rows.h"
#include "shaders/topk.h"

namespace vks::vulkan {
namespace {

using namespace args::topk;

constexpr size_t kRowArgs[] = {kX, kValue, kIndex};
constexpr uint32_t kSegment = 4096;        // elements, about: 16 for each of 256 invocations
constexpr uint64_t kMostReadings = 60000;  // by an invocation: more is work for a sort, which this isn't

uint32_t list_length(const Signature& s) {
    return s.get<vks_topk_params>().k;
}

// Of a row; their lists must be shorter than the row by far.
uint32_t segments(const Signature& s) {
    const int64_t columns = s.args[kX].dim[1];
    const auto n = uint32_t(std::clamp<int64_t>(columns / kSegment, 1, 64));
    return int64_t{4} * n * list_length(s) > columns ? 1 : n;
}

// Of the segments' values or indices, for so many rows.
uint64_t lists_bytes(const Signature& s, uint64_t rows) {
    const uint64_t bytes = rows * segments(s) * list_length(s) * sizeof(uint32_t);
    return segments(s) == 1 ? 0 : (bytes + 255) / 256 * 256;
}

// Wide on every device: llvmpipe ends an invocation's loops after 65535 iterations altogether.
Program program(const Caps& caps, uint32_t mapped) {
    Program program = row_program(caps, "topk", kSegment, {{"MAPPED", mapped}});
    program.workgroup = wide_workgroup(caps, kSegment);
    return program;
}

Recipe recipe(const Caps& caps, const Signature& s) {
    Recipe recipe = row_recipe(caps, s, kRowArgs, program(caps, 0));
    recipe.programs.push_back(program(caps, 1));
    recipe.scratch_bytes = 2 * lists_bytes(s, uint64_t(s.args[kX].rows()));
    const uint64_t readings = uint64_t(s.args[kX].dim[1]) / segments(s) / recipe.programs[0].workgroup + 2;
    if (readings * list_length(s) > kMostReadings) recipe.refusal = "k: wanted fewer, or shorter rows";
    if (recipe.scratch_bytes / 2 > caps.max_binding) recipe.refusal = "x: more rows than the lists leave room for";
    return recipe;
}

void encode(Encoder& e, const Signature& s) {
    const uint32_t k = list_length(s), parts = segments(s);
    if (k == 0) return;
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        const uint64_t lists = lists_bytes(s, range.count);
        const Bind value = parts == 1 ? range[kValue] : e.scratch(0, lists);
        const Bind index = parts == 1 ? range[kIndex] : e.scratch(lists, lists);
        shaders::TopkPush push{range.rows(), uint32_t(s.args[kX].dim[1]), parts, k};
        e.dispatch(0, {range[kX], Bind{}, value, index}, push, e.spread(range.count * parts));
        if (parts == 1) return;
        push = {range.rows(), parts * k, 1, k};
        e.dispatch(1, {value, index, range[kValue], range[kIndex]}, push, e.spread(range.count));
    });
}

}  // namespace

extern constinit const Op op_topk = {"topk/1", sizeof(vks_topk_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
