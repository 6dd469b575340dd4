// head_gemm/1 in f32 arithmetic by Highway. EXPAND is a matrix product per head. ABSORB adds x[d] * w[d, :] for d
// ascending, one fused multiply-add each. Bound: w's bytes when T is small, multiply-adds when it is large.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/head_gemm.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/absorb.h"
#include "plugins/cpu/simd/gemm_ops.h"
#include "plugins/cpu/simd/gemm_simd.h"
#include "plugins/cpu/simd/pair-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

// A register tile: tokens by vectors of columns.
constexpr int kRows = 6, kVectors = HWY_TARGET == HWY_AVX2 ? 2 : 4;
constexpr auto kColumns = kVectors * static_cast<int64_t>(kLanes);
static_assert(kAbsorbColumns % kColumns == 0 && kAbsorbColumns % kStep == 0);

// Decodes columns of w's rows [d, d + count) to f32.
template <class W>
void decode(const Absorb& a, int64_t d, int64_t count, const AbsorbSpace& space) {
    for (int64_t r = 0; r < count; ++r) {
        const RowRef row = a.w.row(d + r);
        const W* w = static_cast<const W*>(row.data) + a.column;
        float* to = space.group + r * space.stride;
        for (int64_t c = 0; c < space.stride; c += kStep) {
            const V scale = a.column + c < a.w.stride ? block_scale(row.scale, a.column + c) : hn::Zero(D());
            const Pair v = c + kStep <= a.columns ? load_pair(w + c, scale)
                                                  : load_pair_part(w + c, std::max<int64_t>(0, a.columns - c), scale);
            store(v.low, to + c);
            store(v.high, to + c + kLanes);
        }
    }
}

// sums[M, kColumns] += x[M, count] group[count, kColumns]
template <int M>
void accumulate(const float* x, int64_t x_stride, const float* group, float* sums, int64_t stride, int64_t count) {
    V acc[M][kVectors];
    VKS_UNROLL
    for (int m = 0; m < M; ++m) {
        VKS_UNROLL
        for (int v = 0; v < kVectors; ++v) acc[m][v] = load(sums + m * stride + v * static_cast<int64_t>(kLanes));
    }
    for (int64_t d = 0; d < count; ++d, group += stride) {
        V w[kVectors];
        VKS_UNROLL
        for (int v = 0; v < kVectors; ++v) w[v] = load(group + v * static_cast<int64_t>(kLanes));
        VKS_UNROLL
        for (int m = 0; m < M; ++m) {
            const V factor = hn::Set(D(), x[m * x_stride + d]);
            VKS_UNROLL
            for (int v = 0; v < kVectors; ++v) acc[m][v] = hn::MulAdd(factor, w[v], acc[m][v]);
        }
    }
    VKS_UNROLL
    for (int m = 0; m < M; ++m) {
        VKS_UNROLL
        for (int v = 0; v < kVectors; ++v) store(acc[m][v], sums + m * stride + v * static_cast<int64_t>(kLanes));
    }
}

void accumulate_rows(int64_t rows, const float* x, int64_t x_stride, const float* group, float* sums, int64_t stride,
                     int64_t count) {
    switch (rows) {
        case 1:
            return accumulate<1>(x, x_stride, group, sums, stride, count);
        case 2:
            return accumulate<2>(x, x_stride, group, sums, stride, count);
        case 3:
            return accumulate<3>(x, x_stride, group, sums, stride, count);
        case 4:
            return accumulate<4>(x, x_stride, group, sums, stride, count);
        case 5:
            return accumulate<5>(x, x_stride, group, sums, stride, count);
        default:
            return accumulate<kRows>(x, x_stride, group, sums, stride, count);
    }
}

template <class T>
void convert_row(const T* from, size_t n, float* to) {
    for_vectors(n, [&](auto v) HWY_ATTR { v.put(v(from), to); });
}
template <class T>
void convert_back(const float* from, size_t n, T* to) {
    for_vectors(n, [&](auto v) HWY_ATTR { v.put(v(from), to); });
}

template <class W>
void absorb_head(const Absorb& a) {
    const AbsorbSpace space(a);
    for (int64_t t = 0; t < a.rows; ++t) {
        float* x = space.x + t * space.x_stride;
        if (a.x_dtype == VKS_F32) {
            convert_row(reinterpret_cast<const float*>(a.x) + t * a.x_stride, static_cast<size_t>(a.nope), x);
        } else {
            convert_row(reinterpret_cast<const Bf16*>(a.x) + t * a.x_stride, static_cast<size_t>(a.nope), x);
        }
    }
    std::memset(space.sums, 0, static_cast<size_t>(a.rows * space.stride) * sizeof(float));
    for (int64_t d = 0; d < a.nope;) {
        const int64_t count = absorb_group(a, d);
        decode<W>(a, d, count, space);
        for (int64_t t = 0; t < a.rows; t += kRows) {
            for (int64_t c = 0; c < space.stride; c += kColumns) {
                accumulate_rows(a.rows - t, space.x + t * space.x_stride + d, space.x_stride, space.group + c,
                                space.sums + t * space.stride + c, space.stride, count);
            }
        }
        d += count;
    }
    for (int64_t t = 0; t < a.rows; ++t) {
        const float* sums = space.sums + t * space.stride;
        const int64_t at = t * a.y_stride + a.column;
        if (a.y_dtype == VKS_F32) {
            convert_back(sums, static_cast<size_t>(a.columns), reinterpret_cast<float*>(a.y) + at);
        } else {
            convert_back(sums, static_cast<size_t>(a.columns), reinterpret_cast<Bf16*>(a.y) + at);
        }
    }
}

AbsorbKernel kernel(uint32_t w_dtype) {
    switch (w_dtype) {
        case VKS_F32:
            return absorb_head<float>;
        case VKS_BF16:
            return absorb_head<Bf16>;
        case VKS_F16:
            return absorb_head<F16>;
        default:
            return absorb_head<F8>;
    }
}

#else
AbsorbKernel kernel(uint32_t) {
    return nullptr;
}
#endif  // VKS_SIMD
}  // namespace
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vks::cpu {
namespace simd {
namespace {

HWY_EXPORT(kernel);

enum { kX, kW };

bool absorbs(const void* params) {
    return static_cast<const vks_head_gemm_params*>(params)->mode == VKS_HEAD_ABSORB;
}
uint64_t scratch(const Signature& s) {
    return absorbs(s.params) ? absorb_scratch(s) : head_expand_scratch(*gemm_kernels(s.args[kW].dtype), s);
}
void run_head(const Call& call) {
    if (absorbs(call.params)) {
        absorb(HWY_DYNAMIC_DISPATCH(kernel)(call.args[kW].dtype), call);
    } else {
        head_expand(*gemm_kernels(call.args[kW].dtype), call);
    }
}

}  // namespace
}  // namespace simd

constinit const Variant simd_head_gemm = {nullptr, simd::target, simd::has_target, simd::scratch, simd::run_head};

}  // namespace vks::cpu
#endif  // HWY_ONCE
