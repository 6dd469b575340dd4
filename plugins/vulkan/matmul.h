// For operators that multiply matrices: how shaders/lib/gemm.glsl and lib/tile.glsl are fitted to a device.
#pragma once
#include "plugins/vulkan/op.h"

namespace vks::vulkan {

// A program and the piece of y that one of its workgroups makes at once.
struct Matmul {
    Program program;
    uint32_t rows_of_x = 1, rows_of_w = 1;
};

// Rows of x up to which reading w is what costs; on devices run by the CPU, any number.
inline constexpr int64_t kFewRows = 8;

struct MatmulTypes {
    uint32_t x, w, y;
    int64_t k, columns;  // elements of a row of x and w; of y
};

// For up to `rows` rows of x at a time: the next of 1, 2, 4 and 8. `shader` without variant; this chooses subgroup
// operations where the device has them.
Matmul few_rows(const Caps& caps, const std::string& shader, const MatmulTypes& types, int64_t rows);
// Tiles in shared memory, of `rows` (a multiple of 8) rows of x. Not for devices run by the CPU.
Matmul many_rows(const Caps& caps, const std::string& shader, const MatmulTypes& types, uint32_t rows);

// Tiles in shared memory for cooperative matrices: `down` times `across` subgroups, each of 32 rows of x and 32 of w,
// or 16 and 16 where subgroups are small.
Matmul matrix_rows(const Caps& caps, const std::string& shader, const MatmulTypes& types, uint32_t down,
                   uint32_t across);
// Why that can't be used for such tensors; empty if it can.
std::string without_matrices(const Caps& caps, const std::string& shader, const MatmulTypes& types);

// "tiles, subgroup": what a recipe of such programs is called. `without`: why it has no matrices, or empty.
std::string matmul_name(const std::vector<Program>& programs, const std::string& without = {});

// `step` rows, or the fewest times that, of which each of these tensors can be cut where the device takes a binding.
int64_t aligned_rows(const Caps& caps, std::initializer_list<Arg> tensors, int64_t step);
// Rows of a tensor too large for one binding, at most this many at a time, so that each piece begins at a multiple of
// `step` rows and at an offset the device takes. 0: not even one such piece fits.
int64_t rows_per_binding(const Caps& caps, std::initializer_list<Arg> tensors, int64_t step);
// The bytes of `count` rows from `first` on; an absent argument stays absent.
Bind rows_of(const Encoder& e, const Signature& s, size_t index, int64_t first, int64_t count);

}  // namespace vks::vulkan
