// grouped_gemm/1: one dispatch for all experts where w can be read by address, else one for each. Which experts have
// rows is found on the device. Bound: bytes of w of the experts that have some, for few rows each; else arithmetic.
#include "plugins/args/ops/grouped_gemm.h"

#include <algorithm>

#include "plugins/vulkan/matmul.h"
#include "shaders/grouped_gemm.h"

namespace vks::vulkan {
namespace {

using namespace args::grouped_gemm;

// Lists this short get a slot for each row, so that experts run side by side.
constexpr int64_t kShortList = 64;
// Workgroups to aim for, for one expert.
constexpr uint32_t kWorkgroups = 256;
// Bytes of the table that an expert has: addresses of its weights and of their scales.
constexpr uint64_t kTableEntry = 16;

const Arg& y_of(const Signature& s) {
    return s.args[s.args.size() - 1];
}

bool by_address(const Caps& caps) {
    return caps.addresses && has_shader("grouped_gemm.addresses");
}

// Tiles pay when experts have more than a few rows on average.
bool many(const Caps& caps, const Signature& s) {
    return !caps.software && y_of(s).rows() > kFewRows * int64_t(s.get<vks_grouped_gemm_params>().experts);
}

std::string shader_of(const Caps& caps) {
    return by_address(caps) ? "grouped_gemm.addresses" : "grouped_gemm";
}

MatmulTypes types_of(const Signature& s) {
    return {s.args[kX].dtype, any_weight(s.args).dtype, y_of(s).dtype, s.args[kX].dim[1], y_of(s).dim[1]};
}

// `declared`: rows of y at their maximum. Few rows at once when experts have few on average: a tile with less is as
// dear.
Matmul way(const Caps& caps, const Signature& s, bool many, int64_t declared) {
    const std::string shader = shader_of(caps);
    const MatmulTypes types = types_of(s);
    const int64_t experts = s.get<vks_grouped_gemm_params>().experts;
    if (!many) return few_rows(caps, shader, types, (declared + experts - 1) / experts);
    if (without_matrices(caps, shader, types).empty()) return matrix_rows(caps, shader, types, 1, 4);
    return many_rows(caps, shader, types, 32);
}

Recipe recipe(const Caps& caps, const Signature& s) {
    Recipe recipe;
    for (const Arg& a : {s.args[kX], s.args[kXScale], y_of(s), by_address(caps) ? Arg{} : any_weight(s.args)})
        if (a && rows_per_binding(caps, {a}, 1) < a.rows()) recipe.refusal = "larger than the device's bindings";
    const int64_t rows = y_of(s).rows();
    recipe.programs.push_back(way(caps, s, false, rows).program);
    if (many(caps, s)) recipe.programs.push_back(way(caps, s, true, rows).program);
    recipe.variant = matmul_name(recipe.programs, without_matrices(caps, shader_of(caps), types_of(s)));
    return recipe;
}

// Experts of a dispatch by address, which can't be cut in two where it would take seconds: of about a submission if all
// have as many rows. Their lists begin where the device takes a binding.
uint32_t experts_at_once(const Caps& caps, uint32_t experts, uint64_t operations) {
    if (caps.submission == 0 || operations <= caps.submission) return experts;
    const uint64_t step = std::max<uint64_t>(1, caps.offset_alignment / sizeof(int32_t));
    const uint64_t fit = caps.submission / std::max<uint64_t>(1, operations / experts);
    return uint32_t(std::clamp<uint64_t>(fit / step * step, std::min<uint64_t>(step, experts), experts));
}

void encode(Encoder& e, const Signature& s) {
    const Matmul cut = way(e.caps(), s, many(e.caps(), s), y_of(e.declared()).rows());
    const Arg &x = s.args[kX], &y = y_of(s);
    const uint32_t rows = uint32_t(y.rows()), experts = s.get<vks_grouped_gemm_params>().experts;
    shaders::GroupedGemmPush push{.x_rows = uint32_t(x.rows()),
                                  .y_rows = rows,
                                  .n = uint32_t(y.dim[1]),
                                  .k = uint32_t(x.dim[1]),
                                  .experts = experts,
                                  .expert = 0,
                                  .listed = s.args[kRow] ? 1u : 0u,
                                  .shares = (uint32_t(y.dim[1]) + cut.rows_of_w - 1) / cut.rows_of_w,
                                  .slots = 0,
                                  .span = rows <= kShortList ? 1 : cut.rows_of_x};
    if (push.shares == 0) return;
    const size_t program = many(e.caps(), s) ? 1 : 0, last = s.args.size() - 1;
    const Bind offset = e.arg(kOffset), row = e.arg(kRow);
    const uint64_t weights = uint64_t{push.n} * push.k;  // of an expert
    if (by_address(e.caps())) {
        // Of experts' weights, which are not bound, no more is read than there are rows.
        const uint64_t read =
            std::min(rows, experts) * weights * uint64_t(abi::element_bytes(any_weight(s.args).dtype));
        push.slots = (rows + push.span - 1) / push.span;
        const uint64_t operations = std::max(2 * weights * rows, kOperationsPerByte * read);
        const uint32_t most = experts_at_once(e.caps(), experts, operations);
        for (uint32_t from = 0; from < experts; from += push.experts) {
            push.experts = std::min(most, experts - from);
            const Bind lists = e.arg(kOffset, from * sizeof(int32_t), (push.experts + 1) * sizeof(int32_t));
            Bind weights_of = e.table();
            weights_of.offset += from * kTableEntry;
            weights_of.bytes = push.experts * kTableEntry;
            e.dispatch(program, {e.arg(kX), e.arg(kXScale), e.arg(last), weights_of, Bind{}, lists, row}, push,
                       e.spread(uint64_t{push.shares} * push.slots), operations * push.experts / experts);
        }
        return;
    }
    push.slots = std::min((rows + cut.rows_of_x - 1) / cut.rows_of_x, std::max(1u, kWorkgroups / push.shares));
    for (; push.expert < experts; ++push.expert) {
        const size_t w = kWeights + 2 * push.expert;
        push.k = s.args[w] ? uint32_t(x.dim[1]) : 0;  // a sum of nothing where it is elsewhere
        e.dispatch(program, {e.arg(kX), e.arg(kXScale), e.arg(last), e.arg(w), e.arg(w + 1), offset, row}, push,
                   e.spread(uint64_t{push.shares} * push.slots), 2 * weights * rows / experts);
    }
}

std::pair<size_t, size_t> table(const Signature& s) {
    return {kWeights, s.args.size() - 1};
}

}  // namespace

extern constinit const Op op_grouped_gemm = {
    "grouped_gemm/1", sizeof(vks_grouped_gemm_params), check, kOutputs, recipe, encode, table};

}  // namespace vks::vulkan
