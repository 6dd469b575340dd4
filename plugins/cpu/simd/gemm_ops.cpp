// Arguments (abi/ops.h) to Products. Counts and row numbers that reach outside their tensor are clamped, as in the
// plain variants.
#include "plugins/cpu/simd/gemm_ops.h"

#include <algorithm>

#include "plugins/cpu/load.h"

namespace vks::cpu::simd {
namespace {

constexpr uint64_t align(uint64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

Rows weights(const Arg& w, const Arg& scale) {
    const int64_t k = w.dim[1];
    return {.dtype = w.dtype,
            .data = w.as<std::byte>(),
            .stride = k,
            .first = 0,
            .scale = scale ? scale.as<float>() : nullptr,
            .scale_columns = blocks(k),
            .rows_per_scale = kBlock};
}

Rows activations(const Arg& x, const Arg& scale) {
    const int64_t k = x.dim[1];
    return {.dtype = x.dtype,
            .data = x.as<std::byte>(),
            .stride = k,
            .first = 0,
            .scale = scale ? scale.as<float>() : nullptr,
            .scale_columns = blocks(k),
            .rows_per_scale = 1};
}

void dense(const GemmKernels& g, const Arg& x, const Arg& x_scale, const Arg& w, const Arg& w_scale, const Arg& y,
           const Call& call) {
    const Product product = {.x = activations(x, x_scale),
                             .w = weights(w, w_scale),
                             .index = nullptr,
                             .x_rows = x.rows(),
                             .rows = x.rows(),
                             .columns = w.dim[0],
                             .y = y.out<std::byte>(),
                             .y_stride = w.dim[0],
                             .y_dtype = y.dtype};
    multiply(g, {&product, 1}, w.dim[1], call.scratch, *call.pool);
}

}  // namespace

// fp8_gemm: x, x_scale?, w, w_scale -> y
uint64_t fp8_gemm_scratch(const GemmKernels& g, const Signature& s) {
    return gemm_scratch(g, s.args[0].rows(), 1, s.args[2].dim[1], s.threads);
}
void fp8_gemm(const GemmKernels& g, const Call& call) {
    const auto a = call.args;
    dense(g, a[0], a[1], a[2], a[3], a[4], call);
}

// gemm: x, w -> y
uint64_t gemm_op_scratch(const GemmKernels& g, const Signature& s) {
    return gemm_scratch(g, s.args[0].rows(), 1, s.args[1].dim[1], s.threads);
}
void gemm_op(const GemmKernels& g, const Call& call) {
    dense(g, call.args[0], Arg{}, call.args[1], Arg{}, call.args[2], call);
}

// grouped_gemm: x, x_scale?, offset, row?, (w, w_scale?) per expert -> y
uint64_t grouped_gemm_scratch(const GemmKernels& g, const Signature& s) {
    const uint64_t experts = s.get<vks_grouped_gemm_params>().experts;
    const Arg& y = s.args[4 + 2 * experts];
    const auto products = static_cast<int64_t>(std::min<uint64_t>(experts, static_cast<uint64_t>(y.rows())));
    return align(static_cast<uint64_t>(products) * sizeof(Product)) +
           gemm_scratch(g, y.rows(), products, s.args[0].dim[1], s.threads);
}
void grouped_gemm(const GemmKernels& g, const Call& call) {
    const size_t experts = call.get<vks_grouped_gemm_params>().experts;
    const Arg &x = call.args[0], &row = call.args[3], &y = call.args[4 + 2 * experts];
    const int32_t* offset = call.args[2].as<int32_t>();
    const Rows rows = activations(x, call.args[1]);
    const int64_t most = std::min<int64_t>(static_cast<int64_t>(experts), y.rows());
    auto* products = reinterpret_cast<Product*>(call.scratch);
    int64_t count = 0, done = 0;  // lists that overlap or run backwards are cut: no row is written twice
    for (size_t e = 0; e < experts && count < most; ++e) {
        const int64_t first = std::clamp<int64_t>(offset[e], done, y.rows());
        const int64_t last = std::clamp<int64_t>(offset[e + 1], first, y.rows());
        done = last;
        if (first == last) continue;
        if (!call.args[4 + 2 * e]) {
            clear_rows(y, first, last);
            continue;
        }
        Product& p = products[count++];
        p = {.x = rows,
             .w = weights(call.args[4 + 2 * e], call.args[5 + 2 * e]),
             .index = row ? row.as<int32_t>() + first : nullptr,
             .x_rows = x.rows(),
             .rows = last - first,
             .columns = y.dim[1],
             .y = y.out<std::byte>() + first * y.dim[1] * abi::element_bytes(y.dtype),
             .y_stride = y.dim[1],
             .y_dtype = y.dtype};
        if (!row) {  // row r of the list is row r of x
            p.x.data += first * x.dim[1] * abi::element_bytes(x.dtype);
            p.x.first = first;
            p.x_rows = x.rows() - first;
        }
    }
    if (count == 0) return;
    multiply(g, {products, static_cast<size_t>(count)}, x.dim[1],
             call.scratch + align(static_cast<uint64_t>(most) * sizeof(Product)), *call.pool);
}

// head_gemm: x, w, w_scale? -> y. One product per head: rows h*(nope+v)+nope.. of w, columns h*lora.. of x.
uint64_t head_expand_scratch(const GemmKernels& g, const Signature& s) {
    const auto& p = s.get<vks_head_gemm_params>();
    return align(p.heads * sizeof(Product)) + gemm_scratch(g, s.args[0].rows() * p.heads, p.heads, p.lora, s.threads);
}
void head_expand(const GemmKernels& g, const Call& call) {
    const auto& p = call.get<vks_head_gemm_params>();
    const Arg &x = call.args[0], &w = call.args[1], &y = call.args[3];
    auto* products = reinterpret_cast<Product*>(call.scratch);
    for (int64_t h = 0; h < p.heads; ++h) {
        Product& product = products[h];
        const int64_t first = h * (int64_t{p.nope} + p.v) + p.nope;
        product = {.x = activations(x, Arg{}),
                   .w = weights(w, call.args[2]),
                   .index = nullptr,
                   .x_rows = x.rows(),
                   .rows = x.rows(),
                   .columns = p.v,
                   .y = y.out<std::byte>() + h * p.v * abi::element_bytes(y.dtype),
                   .y_stride = y.dim[1],
                   .y_dtype = y.dtype};
        product.x.data += h * p.lora * abi::element_bytes(x.dtype);
        product.w.data += first * p.lora * abi::element_bytes(w.dtype);
        product.w.first = first;
    }
    if (p.heads == 0) return;
    multiply(g, {products, p.heads}, p.lora, call.scratch + align(p.heads * sizeof(Product)), *call.pool);
}

}  // namespace vks::cpu::simd
