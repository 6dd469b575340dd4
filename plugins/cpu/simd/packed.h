// A matrix prepared once and multiplied by one block of rows after another, by the calling thread alone: GemmKernels
// where the driver of gemm.h, which shares work out, would be in the way.
#pragma once
#include "plugins/cpu/simd/gemm.h"

namespace vks::cpu::simd {

class PackedMatrix {
public:
    // Of memory, 64-byte aligned, for a matrix [rows, k].
    static uint64_t bytes(const GemmKernels& kernels, int64_t rows, int64_t k);
    // Of multiply()'s scratch, 64-byte aligned.
    static uint64_t scratch_bytes(const GemmKernels& kernels, int64_t k);

    // Neither `w` nor `memory` may change or go while it is used.
    PackedMatrix(const GemmKernels& kernels, const Rows& w, int64_t rows, int64_t k, std::byte* memory);

    // y[r, n] = x[r] . w[n] for r < rows, n < columns, at most as many as w has rows; y f32 or bf16, y_stride elements
    // from a row to the next.
    void multiply(const Rows& x, int64_t rows, int64_t columns, std::byte* y, int64_t y_stride, uint32_t y_dtype,
                  std::byte* scratch) const;

private:
    const GemmKernels& g_;
    int64_t k_, row_bytes_;
    std::byte* packed_;
    RowRef* refs_;
};

}  // namespace vks::cpu::simd
