#include "plugins/cpu/simd/packed.h"

#include <algorithm>
#include <array>

#include "plugins/cpu/sizes.h"

namespace vks::cpu::simd {
namespace {

// The most rows that any kernels' `block` takes at a time.
constexpr size_t kMostRows = 64;

int64_t row_bytes(const GemmKernels& g, int64_t k) {
    return round_up(std::max<int64_t>(1, round_up(k, g.granule)) * g.element, 64);
}

}  // namespace

uint64_t PackedMatrix::bytes(const GemmKernels& g, int64_t rows, int64_t k) {
    const int64_t padded = round_up(rows, g.w_tile);
    return static_cast<uint64_t>(round_up(padded * static_cast<int64_t>(sizeof(RowRef)), 64) +
                                 padded * row_bytes(g, k));
}

uint64_t PackedMatrix::scratch_bytes(const GemmKernels& g, int64_t k) {
    return static_cast<uint64_t>(g.x_block * row_bytes(g, k));
}

PackedMatrix::PackedMatrix(const GemmKernels& g, const Rows& w, int64_t rows, int64_t k, std::byte* memory)
    : g_(g), k_(k), row_bytes_(row_bytes(g, k)), refs_(reinterpret_cast<RowRef*>(memory)) {
    const int64_t padded = round_up(rows, g.w_tile);
    packed_ = memory + round_up(padded * static_cast<int64_t>(sizeof(RowRef)), 64);
    for (int64_t i = 0; i < padded; ++i) refs_[i] = i < rows ? w.row(i) : RowRef{};
    for (int64_t i = 0; i < padded; i += g.w_tile) g.pack_w(refs_ + i, k, 0, packed_ + i * row_bytes_);
}

void PackedMatrix::multiply(const Rows& x, int64_t rows, int64_t columns, std::byte* y, int64_t y_stride,
                            uint32_t y_dtype, std::byte* scratch) const {
    const bool in_place = g_.x_tile == 1 && x.dtype == g_.in_place && k_ % g_.granule == 0;
    const int64_t y_bytes = y_stride * (y_dtype == VKS_F32 ? 4 : 2);
    const auto tile = static_cast<size_t>(g_.x_tile);
    std::array<RowRef, kMostRows> refs;
    for (int64_t first = 0; first < rows; first += g_.x_block, y += g_.x_block * y_bytes) {
        const auto count = static_cast<size_t>(std::min<int64_t>(g_.x_block, rows - first));
        for (size_t r = 0; r < count; ++r) refs[r] = x.row(first + static_cast<int64_t>(r));
        for (size_t r = 0; !in_place && r < count; r += tile) {
            for (size_t i = count; i < r + tile; ++i) refs[i] = {};
            std::byte* to = scratch + static_cast<int64_t>(r) * row_bytes_;
            g_.pack_x(x.dtype, &refs[r], g_.x_tile, k_, to);
            if (tile == 1) refs[r].data = to;
        }
        g_.block({.x = scratch,
                  .w = packed_,
                  .x_rows = refs.data(),
                  .w_rows = refs_,
                  .x_scaled = x.scale != nullptr,
                  .rows = static_cast<int>(count),
                  .columns = static_cast<int>(columns),
                  .k = k_,
                  .y = y,
                  .y_stride = y_stride,
                  .y_dtype = y_dtype,
                  .ahead = nullptr,
                  .lines = 0});
    }
}

}  // namespace vks::cpu::simd
