// Work items and scratch of head_gemm's ABSORB.
#include "plugins/cpu/simd/absorb.h"

#include <algorithm>

#include "plugins/cpu/op.h"
#include "plugins/cpu/sizes.h"

namespace vks::cpu::simd {
namespace {

// Floats of an item's scratch. Groups that are cut at scale rows are padded to an even number, hence x's width.
int64_t x_stride(int64_t nope) {
    return round_up(nope + 2 * (nope / kBlock + 2), 16);
}
int64_t item_floats(int64_t rows, int64_t columns, int64_t nope) {
    return (rows + kGroup) * round_up(columns, kAbsorbColumns) + rows * x_stride(nope);
}

}  // namespace

AbsorbSpace::AbsorbSpace(const Absorb& a)
    : stride(round_up(a.columns, kAbsorbColumns)),
      sums(reinterpret_cast<float*>(a.scratch)),
      group(sums + a.rows * stride),
      x(group + kGroup * stride),
      x_stride(simd::x_stride(a.nope)) {}

int64_t absorb_group(const Absorb& a, int64_t d) {
    int64_t rows = std::min(kGroup, a.nope - d);
    if (a.w.scale) rows = std::min(rows, a.w.rows_per_scale - (a.w.first + d) % a.w.rows_per_scale);
    return rows;
}

uint64_t absorb_scratch(const Signature& s) {
    const auto& p = s.get<vks_head_gemm_params>();
    const int64_t rows = std::min(kAbsorbRows, s.args[0].rows());
    return static_cast<uint64_t>(s.threads * round_up(item_floats(rows, p.lora, p.nope), 16)) * sizeof(float);
}

void absorb(AbsorbKernel kernel, const Call& call) {
    const auto& p = call.get<vks_head_gemm_params>();
    const Arg &x = call.args[0], &w = call.args[1], &w_scale = call.args[2], &y = call.args[3];
    const int64_t lora = p.lora, heads = p.heads, nope = p.nope, threads = call.pool->threads();
    const int64_t row_blocks = (x.rows() + kAbsorbRows - 1) / kAbsorbRows;
    if (heads * row_blocks * lora == 0) return;
    // Few heads and tokens: the columns are shared out too, in blocks that have a scale of their own.
    const int64_t wanted = (4 * threads + heads * row_blocks - 1) / (heads * row_blocks);
    const int64_t width = round_up((lora + wanted - 1) / wanted, kBlock), parts = (lora + width - 1) / width;
    const int64_t space = round_up(item_floats(std::min(kAbsorbRows, x.rows()), lora, nope), 16);

    call.pool->parallel_for(heads * row_blocks * parts, 1, [&](int64_t item, int64_t last, int worker) {
        for (; item < last; ++item) {
            const int64_t part = item % parts, block = item / parts % row_blocks, h = item / parts / row_blocks;
            const int64_t row = block * kAbsorbRows, first = h * (nope + int64_t{p.v});
            const int64_t from = row * x.dim[1] + h * (nope + int64_t{p.rope});
            kernel({.x = x.as<std::byte>() + from * abi::element_bytes(x.dtype),
                    .x_dtype = x.dtype,
                    .x_stride = x.dim[1],
                    .w = {.dtype = w.dtype,
                          .data = w.as<std::byte>() + first * lora * abi::element_bytes(w.dtype),
                          .stride = lora,
                          .first = first,
                          .scale = w_scale ? w_scale.as<float>() : nullptr,
                          .scale_columns = blocks(lora),
                          .rows_per_scale = kBlock},
                    .nope = nope,
                    .rows = std::min(kAbsorbRows, x.rows() - row),
                    .head_rows = nope + int64_t{p.v},
                    .last = h + 1 == heads,
                    .threads = call.pool->threads(),
                    .column = part * width,
                    .columns = std::min(width, lora - part * width),
                    .y = y.out<std::byte>() + (row * y.dim[1] + h * lora) * abi::element_bytes(y.dtype),
                    .y_dtype = y.dtype,
                    .y_stride = y.dim[1],
                    .scratch = call.scratch + static_cast<size_t>(worker * space) * sizeof(float)});
        }
    });
}

}  // namespace vks::cpu::simd
