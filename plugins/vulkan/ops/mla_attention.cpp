// mla_attention/1: rows (a head of a token) in teams of invocations, spans split over workgroups where there are few
// rows. Bound: arithmetic, of f32 or of cooperative matrices.
#include "plugins/args/ops/mla_attention.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "plugins/vulkan/op.h"
#include "shaders/mla_attention.h"

namespace vks::vulkan {
namespace {

using namespace args::mla_attention;

constexpr uint64_t kScratch = uint64_t{64} << 20;  // at most
constexpr int64_t kPiece = 64;                     // cache rows: no split is smaller

// How the work is divided. The shader's constants follow from it, and so do the dispatches.
struct Shape {
    bool matrices = false;
    uint32_t lanes = 1, rows = 1, tile = 16, workgroup = 1;  // invocations of a team, rows of a team, cache rows
    uint32_t teams = 1;                                      // of a workgroup of matrices: subgroups
    uint32_t splits = 1;                                     // of a span
    int64_t part_rows = 1, parts = 1;                        // of the cache: what a binding can take
    int64_t tokens = 1;                                      // of a dispatch
    uint64_t row_bytes = 0;                                  // of scratch, per row; maxima and sums are 8 of them
};

uint64_t element_bytes(const Arg& a) {
    return uint64_t(abi::element_bytes(a.dtype));
}

// Shared memory of a team (shaders/lib/attend.glsl).
uint32_t team_bytes(uint32_t lanes, uint32_t rows, uint32_t tile) {
    const uint32_t values = rows * tile, helpers = lanes > values ? lanes / values : 1;
    return 4 * (values * (lanes + 1 + helpers + 1) + rows + 1);
}

// A team holds ROWS rows, spread over LANES so that each has 8 columns or fewer of a usual latent. Compilers take twice
// the registers these need, and more would spill on some.
void shape_teams(const Caps& caps, const vks_mla_attention_params& p, uint32_t type, int64_t rows, Shape& shape) {
    const uint32_t most = std::bit_floor(caps.max_invocations);
    const auto number = [&](const char* name, uint32_t largest, uint32_t otherwise) {
        return caps.tuning.power_of_two("mla_attention", "team", name, 1, largest, otherwise);
    };
    if (caps.software) {
        shape.workgroup = std::min(most, std::bit_floor(caps.subgroup));
        return;
    }
    const uint32_t wide = std::min(most, caps.shared_bytes >= 32768 ? 256u : 64u);
    shape.lanes = std::min(wide, std::bit_ceil(std::max(4u, (p.lora + 7) / 8)));
    shape.rows = type == VKS_F32 ? 2 : 4;
    shape.tile = 4;
    const uint32_t asked_rows = number("ROWS", 8, shape.rows), asked_tile = number("TILE", 16, shape.tile);
    if (team_bytes(shape.lanes, asked_rows, asked_tile) * (wide / shape.lanes) <= caps.shared_bytes) {
        shape.rows = asked_rows;
        shape.tile = asked_tile;
    }
    const auto teams = std::bit_ceil(uint64_t(std::max<int64_t>(1, (rows + shape.rows - 1) / shape.rows)));
    shape.workgroup = uint32_t(std::min<uint64_t>(wide, shape.lanes * teams));
}

// Where matrices are used, a workgroup is one "team" of lanes, and its rows are heads of one token: this many
// workgroups.
int64_t blocks_of(const Shape& shape, const vks_mla_attention_params& p, int64_t tokens) {
    const int64_t block = int64_t{shape.workgroup / shape.lanes} * shape.rows;
    if (shape.matrices) return tokens * ((p.heads + block - 1) / block);
    return (tokens * p.heads + block - 1) / block;
}

// Subgroups: enough that none holds more than 64 registers of sums, and that all rows have an invocation each.
void shape_matrices(const Caps& caps, const vks_mla_attention_params& p, Shape& shape) {
    const MatrixShape& m = caps.matrix;
    shape.matrices = true;
    shape.tile = std::max({16u, m.m, m.n, m.k});
    shape.rows = std::max(shape.tile, 2 * m.m);
    const uint32_t most = std::bit_floor(caps.max_invocations) / m.subgroup;
    const uint32_t teams = std::bit_ceil(std::max(1u, shape.rows * p.lora / (64 * m.subgroup)));
    const uint32_t least = std::max(shape.rows / m.m, (shape.rows + m.subgroup - 1) / m.subgroup);
    shape.teams = std::max(least, std::min({teams, most, shape.rows * shape.tile / 2 / m.subgroup}));
    shape.workgroup = shape.lanes = shape.teams * m.subgroup;
}

// Bytes of shared memory (shaders/lib/attend_matrix.glsl).
uint64_t shared_bytes(const Caps& caps, const vks_mla_attention_params& p, const Shape& shape) {
    const MatrixShape& m = caps.matrix;
    const uint64_t tile = uint64_t{shape.tile} * (p.lora + p.rope + 8) * 2;
    const uint64_t queries = uint64_t{shape.rows} * (shape.teams / (shape.rows / m.m) * m.k + 8) * 2;
    const uint64_t matrices = uint64_t{shape.teams} * m.m * m.n * 4;
    const uint64_t scores = uint64_t{shape.teams} * m.m * shape.tile * 4;
    const uint64_t weights = uint64_t{shape.rows} * (shape.tile * 2 + 16);
    return std::max({tile, queries, matrices}) + scores + weights + (uint64_t{shape.rows} + shape.teams) * 4;
}

// Why matrices can't be used, empty if they can. bf16 alone is --math half; of few heads most of a matrix would be
// empty.
std::string without_matrices(const Caps& caps, const Signature& s) {
    const auto& p = s.get<vks_mla_attention_params>();
    if (!caps.matrix) return "the device has none";
    if (!has_shader("mla_attention.coopmat")) return "not in this build";
    if (caps.software) return "run by the CPU";
    for (size_t i : {kQLat, kQPe, kCache})
        if (s.args[i].dtype != VKS_BF16) return "f32";
    const uint32_t columns = std::max({8u, caps.matrix.n, caps.matrix.k});
    if (p.lora % columns != 0 || p.rope % columns != 0 || p.lora == 0) return "columns % " + std::to_string(columns);
    if (2 * p.heads < caps.matrix.m) return "few heads";
    Shape shape;
    shape_matrices(caps, p, shape);
    if (shape.workgroup > caps.max_invocations) return "workgroup";
    if (shared_bytes(caps, p, shape) > caps.shared_bytes) return "shared memory";
    return {};
}

// The cache's rows a multiple of 256: parts begin at an offset that any device takes.
void shape_cache(const Caps& caps, const Signature& s, Shape& shape) {
    const Arg& cache = s.args[kCache];
    const uint64_t row = std::max<uint64_t>(1, uint64_t(cache.dim[1]) * element_bytes(cache));
    shape.part_rows = std::max<int64_t>(1, cache.rows());
    if (uint64_t(shape.part_rows) * row <= caps.max_binding) return;
    shape.part_rows = int64_t(caps.max_binding / row / 256 * 256);
    if (shape.part_rows > 0) shape.parts = (cache.rows() + shape.part_rows - 1) / shape.part_rows;
}

// Of a split, cache rows at most. llvmpipe ends an invocation's loops after 65535 iterations altogether, and one that
// is a team goes over a tile's columns three times.
int64_t longest_split(const Caps& caps, const vks_mla_attention_params& p, const Shape& shape) {
    if (!caps.software) return INT64_MAX;
    const int64_t groups = (p.lora + 3) / 4, rows = int64_t{shape.workgroup / shape.lanes} * shape.rows;
    const int64_t heads = std::max(1u, p.heads), tokens = heads % rows == 0 ? 1 : std::min(rows, rows / heads + 2);
    const int64_t once = 2 * groups * shape.rows + tokens, a_tile = 2 * groups + p.rope + tokens + 1;
    return std::max(kPiece, (65535 - once) / (a_tile * tokens) * shape.tile - kPiece);  // of each token its own rows
}

// Of a dispatch; spans may be shorter than the cache.
uint64_t operations(const vks_mla_attention_params& p, int64_t tokens, int64_t cache_rows) {
    return uint64_t(tokens) * uint64_t(cache_rows) * p.heads * (4 * uint64_t{p.lora} + 2 * uint64_t{p.rope});
}

Shape shape_of(const Caps& caps, const Signature& s) {
    const auto& p = s.get<vks_mla_attention_params>();
    const int64_t tokens = s.args[kQLat].rows(), rows = tokens * p.heads;
    Shape shape;
    if (without_matrices(caps, s).empty()) {
        shape_matrices(caps, p, shape);
    } else {
        shape_teams(caps, p, s.args[kQLat].dtype, rows, shape);
    }
    shape_cache(caps, s, shape);
    // Enough workgroups to fill the device, of spans as long as the cache; shorter ones leave some without work.
    const int64_t blocks = std::max<int64_t>(1, blocks_of(shape, p, tokens));
    const int64_t wanted =
        caps.tuning.power_of_two("mla_attention", "split", "GROUPS", 1, 4096, caps.software ? 32 : 256);
    const int64_t pieces = std::max<int64_t>(1, (shape.part_rows + kPiece - 1) / kPiece);
    const int64_t least =
        std::max<int64_t>(shape.parts > 1 ? 2 : 1, shape.part_rows / longest_split(caps, p, shape) + 1);
    shape.splits = uint32_t(std::clamp<int64_t>(wanted / blocks, least, std::max<int64_t>(least, pieces)));
    if (pieces == 1 && shape.parts == 1) shape.splits = 1;

    // Tokens whose arguments fit a binding and whose splits fit the scratch; a dispatch's first one must be aligned.
    uint64_t largest = 1, step = 1;
    for (size_t i : {kQLat, kQPe, kO}) {
        const uint64_t bytes = std::max<uint64_t>(1, uint64_t(s.args[i].dim[1]) * element_bytes(s.args[i]));
        largest = std::max(largest, bytes);
        step = std::max(step, caps.offset_alignment / std::gcd<uint64_t>(caps.offset_alignment, bytes));
    }
    uint64_t fit = caps.max_binding / largest;
    if (shape.splits > 1) {
        shape.row_bytes = shape.splits * uint64_t(shape.parts) * ((p.lora + 3) / 4 * 16 + 8);
        const uint64_t limit = std::min(kScratch, caps.max_binding);
        fit = std::min(fit, limit / std::max<uint64_t>(1, shape.row_bytes * p.heads));
    }
    shape.tokens = fit >= uint64_t(tokens) ? tokens : int64_t(fit / step * step);
    // A dispatch can't be cut in two, and a prompt's on a long cache takes seconds. Some submissions' worth leaves
    // enough rows to fill a discrete card.
    const uint64_t submissions = caps.discrete ? 4 : 1;
    const uint64_t dear = std::max<uint64_t>(1, operations(p, 1, s.args[kCache].rows()));
    const uint64_t most = std::max<uint64_t>(step, submissions * caps.submission / dear / step * step);
    if (caps.submission > 0) shape.tokens = std::min(shape.tokens, int64_t(std::min<uint64_t>(most, INT64_MAX)));
    return shape;
}

uint64_t scratch_rows(const Shape& shape, const Signature& s) {
    return shape.splits > 1 ? uint64_t(shape.tokens) * s.get<vks_mla_attention_params>().heads : 0;
}

using Constants = std::vector<std::pair<std::string, uint32_t>>;

Program attend_program(const Caps& caps, const Signature& s, const Shape& shape, const Constants& common) {
    const uint32_t rope = s.get<vks_mla_attention_params>().rope;
    Program program{"mla_attention", shape.workgroup, common};
    const auto add = [&](const Constants& more) {
        program.constants.insert(program.constants.end(), more.begin(), more.end());
    };
    if (shape.matrices) {
        const MatrixShape& m = caps.matrix;
        program.shader = "mla_attention.coopmat";
        program.subgroup = m.ask ? m.subgroup : 0;
        add({{"ROPE", rope},
             {"TM", m.m},
             {"TN", m.n},
             {"TK", m.k},
             {"AM", shape.rows / m.m},
             {"TEAMS", shape.teams},
             {"TILE", shape.tile}});
        return program;
    }
    add({{"Q", s.args[kQLat].dtype},
         {"P", s.args[kQPe].dtype},
         {"C", s.args[kCache].dtype},
         {"ROPE", rope},
         {"LANES", shape.lanes},
         {"ROWS", shape.rows},
         {"TILE", shape.tile}});
    return program;
}

Recipe recipe(const Caps& caps, const Signature& s) {
    const auto& p = s.get<vks_mla_attention_params>();
    const Shape shape = shape_of(caps, s);
    Recipe recipe;
    if (shape.part_rows == 0 || (shape.tokens == 0 && s.args[kQLat].rows() > 0)) {
        recipe.refusal = "a token's arguments exceed what the device can bind";
        return recipe;
    }
    const uint32_t heads = std::max(1u, p.heads), lora = std::max(1u, p.lora);
    const Constants common = {{"O", s.args[kO].dtype},
                              {"HEADS", heads},
                              {"LORA", lora},
                              {"SPLITS", shape.splits},
                              {"PIECE", uint32_t{kPiece}}};
    recipe.programs.push_back(attend_program(caps, s, shape, common));
    recipe.variant = shape.splits > 1 ? "split" : "plain";
    const std::string without = without_matrices(caps, s);
    recipe.variant += without.empty() ? ", coopmat" : "; no coopmat: " + without;
    if (shape.splits > 1) {
        const uint32_t wide = caps.software ? caps.subgroup : std::max(caps.subgroup, std::bit_ceil((lora + 3) / 4));
        Program merge{"mla_attention_merge", std::min(std::bit_floor(wide), std::bit_floor(caps.max_invocations)),
                      common};
        merge.constants.emplace_back("PARTS", uint32_t(shape.parts));
        recipe.programs.push_back(std::move(merge));
    }
    recipe.scratch_bytes = (scratch_rows(shape, s) * shape.row_bytes + 255) / 256 * 256 + 256;
    if (shape.splits == 1) recipe.scratch_bytes = 0;
    return recipe;
}

// Tokens [first, first + count) of the step.
void encode_tokens(Encoder& e, const Signature& s, const Shape& shape, int64_t first, int64_t count) {
    const auto& p = s.get<vks_mla_attention_params>();
    const auto rows_of = [&](size_t i) {
        const uint64_t row = uint64_t(s.args[i].dim[1]) * element_bytes(s.args[i]);
        return e.arg(i, uint64_t(first) * row, uint64_t(count) * row);
    };
    const uint64_t slots = shape.splits > 1 ? shape.splits * uint64_t(shape.parts) : 0;
    const uint64_t rows = uint64_t(count) * p.heads, group_bytes = uint64_t{(p.lora + 3) / 4} * 16;
    const uint64_t sums = slots * rows * group_bytes, states_at = (sums + 255) / 256 * 256;
    const Bind partial = slots > 0 ? e.scratch(0, sums) : Bind{};
    const Bind state = slots > 0 ? e.scratch(states_at, slots * rows * 8) : Bind{};
    const Arg& cache = s.args[kCache];
    const uint64_t cache_row = uint64_t(cache.dim[1]) * element_bytes(cache);
    for (int64_t part = 0; part < shape.parts; ++part) {
        const int64_t from = std::min(part * shape.part_rows, cache.rows());
        const int64_t seen = std::min(shape.part_rows, cache.rows() - from);
        if (seen == 0 && part > 0) break;
        const shaders::MlaAttentionPush push{uint32_t(rows), uint32_t(first), uint32_t(from),
                                             uint32_t(seen), uint32_t(part),  p.scale};
        e.dispatch(
            0,
            {rows_of(kQLat), rows_of(kQPe), e.arg(kCache, uint64_t(from) * cache_row, uint64_t(seen) * cache_row),
             e.arg(kSpan), slots > 0 ? Bind{} : rows_of(kO), partial, state},
            push, e.spread(uint64_t(blocks_of(shape, p, count)), shape.splits), operations(p, count, seen));
    }
    if (slots == 0) return;
    const shaders::MlaAttentionMergePush push{uint32_t(rows), uint32_t(first), uint32_t(cache.rows()),
                                              uint32_t(shape.part_rows)};
    e.dispatch(1, {e.arg(kSpan), partial, state, rows_of(kO)}, push, e.spread(rows));
}

void encode(Encoder& e, const Signature& s) {
    const Shape shape = shape_of(e.caps(), e.declared());
    if (s.args[kO].dim[1] == 0) return;
    for (int64_t t = 0; t < s.args[kO].rows(); t += shape.tokens)
        encode_tokens(e, s, shape, t, std::min(shape.tokens, s.args[kO].rows() - t));
}

}  // namespace

extern constinit const Op op_mla_attention = {
    "mla_attention/1", sizeof(vks_mla_attention_params), check, kOutputs, recipe, encode};

}  // namespace vks::vulkan
