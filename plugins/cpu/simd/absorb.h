// head_gemm's ABSORB for the vector variants: y[t, c] = sum_d x[t, d] w[d, c] for every head. The sum runs over rows of
// w, so vectors lie along c. Rows of w are decoded kGroup at a time, in memory's order, and used for a block of tokens.
// Measured on one Zen 5 core (268 GFLOP/s in f32, 537 in bf16), 16 heads, e4m3 [128, 512] each, in L2 and L3: T = 1:
// 17 GB/s of w in f32, 38 in bf16; T = 64: 177 and 316 GFLOP/s.
#pragma once
#include "plugins/cpu/op.h"
#include "plugins/cpu/simd/gemm.h"

namespace vks::cpu::simd {

// One head, a block of tokens, a run of columns that starts at a multiple of 128.
struct Absorb {
    const std::byte* x;  // [rows, nope], f32 or bf16
    uint32_t x_dtype;
    int64_t x_stride;
    Rows w;  // row 0 is the head's first
    int64_t nope, rows;
    int64_t head_rows;  // rows of w from a head to the next
    bool last;          // no head comes after it
    int threads;        // how many work on heads side by side
    int64_t column, columns;
    std::byte* y;  // row 0, column 0 of the head
    uint32_t y_dtype;
    int64_t y_stride;
    std::byte* scratch;  // laid out by AbsorbSpace
};

// Rows of w decoded together. The sum of a group is formed apart where it has a scale, so its bounds matter to the
// bits: they depend on the head's place in w alone.
constexpr int64_t kGroup = 16;
// The most tokens in an item, the columns in a register tile: rows of scratch are padded to a multiple.
constexpr int64_t kAbsorbRows = 48, kAbsorbColumns = 64;

// Rows from `d` on in one group: within kGroup, the head and, where w has scales, one row of them.
int64_t absorb_group(const Absorb& a, int64_t d);

using AbsorbKernel = void (*)(const Absorb&);

uint64_t absorb_scratch(const Signature& s);
void absorb(AbsorbKernel kernel, const Call& call);

// The parts of an item's scratch: f32 sums [rows, padded columns], a decoded group, x.
struct AbsorbSpace {
    int64_t stride;  // floats in a row of sums and group
    float* sums;
    float* group;  // [kGroup, stride] floats
    float* x;      // [rows, x_stride] floats
    int64_t x_stride;

    explicit AbsorbSpace(const Absorb& a);
};

}  // namespace vks::cpu::simd
