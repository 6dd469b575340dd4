#include "plugins/vulkan/dense.h"

#include <algorithm>

#include "shaders/gemm.h"

namespace vks::vulkan {
namespace {

// Scales of w are for 128 rows.
int64_t w_rows(const Caps& caps, const Signature& s, const DenseArgs& at) {
    return rows_per_binding(caps, {s.args[at.w]}, args::kBlock);
}

Arg x_scale(const Signature& s, const DenseArgs& at) {
    return at.x_scale == DenseArgs::kNone ? Arg{} : s.args[at.x_scale];
}

int64_t x_rows(const Caps& caps, const Signature& s, const DenseArgs& at) {
    return rows_per_binding(caps, {s.args[at.x], x_scale(s, at), s.args[at.y]}, 1);
}

// Of x in a dispatch, which can't be cut in two where it would take seconds: whole tiles of `tile` rows, of about a
// submission.
int64_t rows_at_once(const Caps& caps, const Signature& s, const DenseArgs& at, uint32_t tile) {
    const int64_t most = x_rows(caps, s, at);
    if (caps.submission == 0) return most;
    const uint64_t row = 2 * uint64_t(s.args[at.w].rows()) * uint64_t(s.args[at.x].dim[1]);
    const int64_t step = aligned_rows(caps, {s.args[at.x], x_scale(s, at), s.args[at.y]}, tile);
    const auto fit = int64_t(std::min<uint64_t>(caps.submission / std::max<uint64_t>(1, row), INT64_MAX));
    return std::min(most, std::max(step, fit / step * step));
}

MatmulTypes types_of(const Signature& s, const DenseArgs& at) {
    return {s.args[at.x].dtype, s.args[at.w].dtype, s.args[at.y].dtype, s.args[at.x].dim[1], s.args[at.w].rows()};
}

// `declared`: rows of x at their maximum.
Matmul way(const Caps& caps, const Signature& s, const DenseArgs& at, bool many, int64_t declared) {
    const MatmulTypes types = types_of(s, at);
    if (!many) return few_rows(caps, "gemm", types, declared);
    if (without_matrices(caps, "gemm", types).empty()) return matrix_rows(caps, "gemm", types, 2, 4);
    return many_rows(caps, "gemm", types, 64);
}

bool many(const Caps& caps, const Signature& s, const DenseArgs& at) {
    return !caps.software && s.args[at.x].rows() > kFewRows;
}

}  // namespace

Recipe dense_recipe(const Caps& caps, const Signature& s, const DenseArgs& at) {
    Recipe recipe;
    if (w_rows(caps, s, at) == 0 || x_rows(caps, s, at) == 0)
        recipe.refusal = "rows too long for the device's bindings";
    const int64_t rows = s.args[at.x].rows();
    recipe.programs.push_back(way(caps, s, at, false, rows).program);
    if (many(caps, s, at)) recipe.programs.push_back(way(caps, s, at, true, rows).program);
    recipe.variant = matmul_name(recipe.programs, without_matrices(caps, "gemm", types_of(s, at)));
    return recipe;
}

void encode_dense(Encoder& e, const Signature& s, const DenseArgs& at) {
    const int64_t rows = s.args[at.x].rows(), k = s.args[at.x].dim[1], n = s.args[at.w].rows();
    const Matmul cut = way(e.caps(), s, at, many(e.caps(), s, at), e.declared().args[at.x].rows());
    const int64_t at_once = rows_at_once(e.caps(), s, at, cut.rows_of_x), w_at_once = w_rows(e.caps(), s, at);
    const auto piece = [&](size_t index, int64_t first, int64_t count) {
        return index == DenseArgs::kNone ? Bind{} : rows_of(e, s, index, first, count);
    };
    for (int64_t row = 0, count = 0; row < rows; row += count) {
        count = std::min(at_once, rows - row);
        for (int64_t from = 0, w_count = 0; from < n; from += w_count) {
            w_count = std::min(w_at_once, n - from);
            const uint32_t tiles = uint32_t((count + cut.rows_of_x - 1) / cut.rows_of_x);
            const uint32_t shares = uint32_t((w_count + cut.rows_of_w - 1) / cut.rows_of_w);
            const shaders::GemmPush push{uint32_t(count), uint32_t(w_count), uint32_t(k), uint32_t(from), uint32_t(n),
                                         tiles,           tiles * shares};
            e.dispatch(many(e.caps(), s, at) ? 1 : 0,
                       {piece(at.x, row, count), piece(at.x_scale, row, count), piece(at.y, row, count),
                        piece(at.w, from, w_count), at.w_scale == DenseArgs::kNone ? Bind{} : e.arg(at.w_scale)},
                       push, e.spread(push.groups), 2 * uint64_t(count) * uint64_t(w_count) * uint64_t(k));
        }
    }
}

}  // namespace vks::vulkan
