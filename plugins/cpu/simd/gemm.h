// Matrix products y = x w^T of the vector variants: what is computed (Product), by which instructions (GemmKernels),
// and the driver that splits it over caches and threads. Plain C++, no vector type.
//
// Two ways to one result. Few rows of x: `direct` decodes a row of w in registers and uses it for all of them, so that
// memory is read once, in order. Many rows: a panel of w is decoded once into cache-sized scratch (`pack`) and
// multiplied in register tiles (`block`). Nothing is ever split over k, so an output's bits don't depend on threads;
// nor, within a way, on the number of rows. Highway's two ways add in one order, vector by vector along k, then across
// lanes; those of AVX512_BF16 don't.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "plugins/cpu/op.h"

namespace vks::cpu::simd {

// Where a row's elements are. Null data: a row of zeros. scale: one per 128 elements, null: 1.
struct RowRef {
    const void* data = nullptr;
    const float* scale = nullptr;
};

// A matrix of weights or activations, rows contiguous or at a stride.
struct Rows {
    uint32_t dtype = VKS_NONE;
    const std::byte* data = nullptr;
    int64_t stride = 0;            // elements from a row to the next
    int64_t first = 0;             // row 0 of this view is this row of the matrix that scale describes
    const float* scale = nullptr;  // null: none
    int64_t scale_columns = 0;     // scales per row of scale
    int64_t rows_per_scale = 1;    // 128 for weights, 1 for activations

    RowRef row(int64_t r) const;
};

// y[r, n] = x[index[r]] . w[n], r < rows, n < columns. index null: x[r]. An index outside [0, x_rows) reads zeros.
struct Product {
    Rows x, w;
    const int32_t* index = nullptr;
    int64_t x_rows = 0, rows = 0, columns = 0;
    std::byte* y = nullptr;  // f32 or bf16
    int64_t y_stride = 0;    // elements
    uint32_t y_dtype = VKS_NONE;

    RowRef x_row(int64_t r) const;
};

// The most rows of x that any `direct` takes.
constexpr int kMaxDirect = 24;

struct Direct {
    const void* x[kMaxDirect];         // prepared rows
    const float* x_scale[kMaxDirect];  // for kernels that don't fold scales into prepared rows; else unused
    int rows;
    int64_t k;
    const Product* product;
    int64_t first, last;  // columns of y
    int threads;          // how many read their parts of w side by side
    RowRef next;          // what the same thread is likely to read after the last row; null: nothing known
};

struct Block {
    const void* x;  // tiles of prepared rows
    const void* w;
    const RowRef* x_rows;  // scales as above, and with tiles of one row the rows, prepared or in place
    const RowRef* w_rows;
    bool x_scaled;  // x has scales; a row of zeros has none even then
    int rows, columns;
    int64_t k;
    std::byte* y;
    int64_t y_stride;
    uint32_t y_dtype;
    const char* ahead;  // memory that is read next: there is time to fetch so many lines of 64 bytes into L2
    int64_t lines;
};

// One instruction set's kernels for one w dtype. A prepared row is zero-padded to a multiple of `granule` elements.
struct GemmKernels {
    int element;  // bytes of a prepared element
    int granule;
    int x_tile, w_tile;  // rows in a register tile: how `pack` interleaves them
    int x_block;         // rows of x in a call of `block`: a multiple of x_tile
    int direct_rows;     // rows of x up to which `direct` is the better way; at most kMaxDirect
    uint32_t in_place;   // x dtype whose rows need no preparing when k is a multiple of granule
    // Interleaves `count` rows (w_tile of w) vector by vector: [padded k / lanes][count][lanes]. pack_w may
    // fetch into L2 what lies `ahead` bytes behind what it reads: the next panel.
    void (*pack_x)(uint32_t dtype, const RowRef* rows, int count, int64_t k, void* to);
    void (*pack_w)(const RowRef* rows, int64_t k, int64_t ahead, void* to);
    void (*direct)(const Direct&);
    void (*block)(const Block&);
};

// Bytes of scratch for products of `rows` rows in all, in up to `products` parts, each with k columns of x.
uint64_t gemm_scratch(const GemmKernels& kernels, int64_t rows, int64_t products, int64_t k, int threads);

// Computes all of them: equal k, columns and dtypes, disjoint outputs. scratch: gemm_scratch bytes, 64-byte aligned.
void multiply(const GemmKernels& kernels, std::span<const Product> products, int64_t k, std::byte* scratch, Pool& pool);

}  // namespace vks::cpu::simd
