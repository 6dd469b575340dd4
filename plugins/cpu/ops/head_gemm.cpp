// head_gemm/1: one small matrix per head, rows h*(nope+v).. of kv_b_proj  [heads*(nope+v), lora].
//   ABSORB: y[t,h,c] = sum_d x[t,h,d] * w[h*(nope+v)+d, c]         d < nope, x [T, heads*(nope+rope)], y [T,
//   heads*lora] EXPAND: y[t,h,i] = sum_c x[t,h,c] * w[h*(nope+v)+nope+i, c]    i < v,    x [T, heads*lora],        y
//   [T, heads*v]
#include "plugins/args/ops/head_gemm.h"
#include "plugins/cpu/ahead.h"
#include "plugins/cpu/dot.h"
#include "plugins/cpu/load.h"
#include "plugins/cpu/ops/variants.h"

#include <algorithm>

namespace vks::cpu {
namespace {

using namespace args::head_gemm;

// y[c] = sum_d x[d] * w[first+d, c]. A sum of up to 128 rows under one scale is formed first, then scaled and added.
template <class X, class W, class Y>
void absorb(const X* x, const Arg& w, const Arg& w_scale, int64_t first, int64_t count, Y* y) {
    for (int64_t c = 0; c < w.dim[1]; ++c) {
        float total = 0;
        for (int64_t r = first; r < first + count;) {
            const int64_t last = std::min(first + count, (r / kBlock + 1) * kBlock);
            const float scale = w_scale ? row<float>(w_scale, r / kBlock)[c / kBlock] : 1.0f;
            float partial = 0;
            for (; r < last; ++r) partial += to_float(x[r - first]) * to_float(row<W>(w, r)[c]);
            total += partial * scale;
        }
        store(y + c, total);
    }
}

template <class X, class W, class Y>
void head(const Call& call, int64_t t, int64_t h) {
    const auto& p = call.get<vks_head_gemm_params>();
    const Arg &w = call.args[kW], &w_scale = call.args[kWScale];
    const X* x = row<X>(call.args[kX], t);
    Y* y = out_row<Y>(call.args[kY], t);
    const int64_t first = h * (p.nope + p.v);
    if (p.mode == VKS_HEAD_ABSORB) {
        absorb<X, W, Y>(x + h * (p.nope + p.rope), w, w_scale, first, p.nope, y + h * p.lora);
        return;
    }
    for (int64_t i = 0; i < p.v; ++i) {
        const int64_t r = first + p.nope + i;
        const float* scale = w_scale ? row<float>(w_scale, r / kBlock) : nullptr;
        store(y + h * p.v + i,
              scaled_dot(x + h * p.lora, static_cast<const float*>(nullptr), row<W>(w, r), scale, p.lora));
    }
}

void run(const Call& call) {
    const int64_t heads = call.get<vks_head_gemm_params>().heads, rows = call.args[kX].rows();
    with_activation(call.args[kX].dtype, [&](auto x) {
        with_any(call.args[kW].dtype, [&](auto w) {
            with_activation(call.args[kY].dtype, [&](auto y) {
                call.pool->parallel_for(rows * heads, 1, [&](int64_t i, int64_t last, int) {
                    for (; i < last; ++i) head<decltype(x), decltype(w), decltype(y)>(call, i / heads, i % heads);
                });
            });
        });
    });
}

// A thread's heads, one after the other.
Range weights(const Call& call, int64_t thread, int64_t threads, int64_t piece) {
    const auto& p = call.get<vks_head_gemm_params>();
    const int64_t head = thread * p.heads / threads + piece, first = head * (int64_t{p.nope} + p.v);
    if (head >= (thread + 1) * p.heads / threads) return {};
    if (p.mode == VKS_HEAD_ABSORB) return part_of(call.args[kW], first, p.nope, 0, 1);
    return part_of(call.args[kW], first + p.nope, p.v, 0, 1);
}

constinit const Variant plain = {"plain", nullptr, nullptr, nullptr, run};
constexpr const Variant* kVariants[] = {&avx512bf16_head_gemm, &simd_head_gemm, &plain};

}  // namespace

extern constinit const Op op_head_gemm = {"head_gemm/1", sizeof(vks_head_gemm_params), check, kOutputs, kVariants,
                                          weights};

}  // namespace vks::cpu
