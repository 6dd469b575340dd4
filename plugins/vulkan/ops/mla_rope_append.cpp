// mla_rope_append/1: of each token one workgroup writes the cache entry and others rotate the queries. A cache larger
// than a binding comes in parts, a dispatch each, of which every one writes the slots it holds. Bound: memory
// bandwidth.
#include "plugins/args/ops/mla_rope_append.h"

#include "plugins/vulkan/rows.h"
#include "shaders/mla_rope_append.h"

namespace vks::vulkan {
namespace {

using namespace args::mla_rope_append;

constexpr size_t kRowArgs[] = {kQ, kKv, kTable, kSlot, kQPe};
constexpr size_t kParts[] = {kCache};

Recipe recipe(const Caps& caps, const Signature& s) {
    const auto type = [&](size_t arg) { return s.args[arg].dtype; };
    Recipe recipe = row_recipe(
        caps, s, kRowArgs,
        row_program(
            caps, "mla_rope_append", s.args[kKv].dim[1],
            {{"Q", type(kQ)}, {"KV", type(kKv)}, {"W", type(kW)}, {"CACHE", type(kCache)}, {"Q_PE", type(kQPe)}}));
    if (rows_at_once(caps, s, kParts) == 0) recipe.refusal = "cache: rows longer than the device's largest binding";
    return recipe;
}

// Workgroups of a token that rotate its queries: about two pairs an invocation on a GPU.
uint32_t query_groups(const Caps& caps, const vks_mla_rope_append_params& p) {
    return caps.software ? 1 : std::clamp(p.heads * (p.rope / 2) / 512, 1u, 64u);
}

void encode(Encoder& e, const Signature& s) {
    const auto& p = s.get<vks_mla_rope_append_params>();
    const uint64_t slots = uint64_t(s.args[kCache].rows()), at_once = rows_at_once(e.caps(), s, kParts);
    for_rows(e, s, kRowArgs, [&](const RowRange& range) {
        uint64_t first = 0;
        do {  // once for an empty cache, too: for the queries
            const RowRange part{e, s, first, std::min(at_once, slots - first)};
            const shaders::MlaRopeAppendPush push{
                range.rows(), p.heads, p.nope, p.rope, p.lora, uint32_t(first), uint32_t(part.count), p.eps};
            const uint32_t z = first == 0 ? 1 + query_groups(e.caps(), p) : 1;
            e.dispatch(0, {range[kQ], range[kKv], e.arg(kW), range[kTable], range[kSlot], part[kCache], range[kQPe]},
                       push, e.spread(push.rows, z));
            first += at_once;
        } while (first < slots);
    });
}

}  // namespace

extern constinit const Op op_mla_rope_append = {
    "mla_rope_append/1", sizeof(vks_mla_rope_append_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
