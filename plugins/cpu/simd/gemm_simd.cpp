// Highway's matrix-product kernels. One element of y is one vector accumulator: acc = fma(x, w, acc) for k in steps of
// the vector width, weights already multiplied by their scale (f32, one rounding), then one horizontal sum. `direct`
// and `block` differ in where the operands come from, not in that sequence.
//
// Measured on one Zen 5 core (512-bit, 4.2 GHz: 268 GFLOP/s; 35 GB/s from memory), e4m3 [4096, 4096] from memory:
// T = 1: 24 GB/s of w; 4: 18; 512: 196 GFLOP/s.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/simd/gemm_simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "plugins/cpu/simd/gemm_simd.h"
#include "plugins/cpu/simd/pair-inl.h"
#include "plugins/cpu/sizes.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
#if VKS_SIMD
namespace {

constexpr int64_t kGranule = std::max<int64_t>(kStep, 16);  // whole cache lines of f32
constexpr bool kFewRegisters = HWY_TARGET == HWY_AVX2;
constexpr int kXTile = kFewRegisters ? 3 : 6, kWTile = 4;
constexpr int kXBlock = 24, kColumns = 16;
constexpr int kKBlock = 16;  // vectors of k between two visits of a tile's accumulators

// Fetches into L2 what lies `ahead` bytes behind a row's next kScaleBlock elements: the rows of w that come after
// these. Hardware prefetchers lose the thread where several rows are read side by side. Past the end of memory it does
// nothing.
template <class T>
HWY_INLINE void fetch_block(const T* p, int64_t ahead) {
    const char* from = reinterpret_cast<const char*>(p) + ahead;
    VKS_UNROLL
    for (size_t line = 0; line < kScaleBlock * sizeof(T); line += 64) __builtin_prefetch(from + line, 0, 2);
}

// ---- pack

// N rows side by side, so that what is written is written in order.
template <class T, int N>
void pack_present(const RowRef* rows, int64_t k, int64_t ahead, float* to) {
    const T* p[N];
    V scale[N];
    for (int n = 0; n < N; ++n) {
        p[n] = static_cast<const T*>(rows[n].data);
        scale[n] = hn::Zero(D());
    }
    for (int64_t i = 0; i < round_up(k, kGranule); i += kStep, to += N * kStep) {
        VKS_UNROLL
        for (int n = 0; n < N; ++n) {
            if (i % kScaleBlock == 0 && i < k) {
                scale[n] = block_scale(rows[n].scale, i);
                if (ahead > 0) fetch_block(p[n] + i, ahead);
            }
            const Pair v = i + kStep <= k ? load_pair(p[n] + i, scale[n])
                                          : load_pair_part(p[n] + i, std::max<int64_t>(0, k - i), scale[n]);
            hn::Store(v.low, D(), to + static_cast<size_t>(n) * kLanes);
            hn::Store(v.high, D(), to + static_cast<size_t>(N + n) * kLanes);
        }
    }
}

template <class T, int N>
void pack_tile(const RowRef* rows, int64_t k, int64_t ahead, float* to) {
    if (std::all_of(rows, rows + N, [](const RowRef& row) { return row.data; })) {
        return pack_present<T, N>(rows, k, ahead, to);
    }
    // A tile's rows past the end: one row at a time, then spread.
    std::memset(to, 0, static_cast<size_t>(N * round_up(k, kGranule)) * sizeof(float));
    for (int n = 0; n < N; ++n) {
        if (!rows[n].data) continue;
        HWY_ALIGN float part[kGranule];
        for (int64_t i = 0; i < k; i += kGranule) {
            const RowRef rest = {static_cast<const T*>(rows[n].data) + i,
                                 rows[n].scale ? rows[n].scale + i / kScaleBlock : nullptr};
            pack_present<T, 1>(&rest, std::min(kGranule, k - i), 0, part);
            for (int64_t v = 0; v < kGranule; v += static_cast<int64_t>(kLanes)) {
                std::memcpy(to + N * (i + v) + n * static_cast<int64_t>(kLanes), part + v, sizeof(V));
            }
        }
    }
}

template <class T>
void pack_rows(const RowRef* rows, int count, int64_t k, void* to) {
    auto* out = static_cast<float*>(to);
    count == 1 ? pack_tile<T, 1>(rows, k, 0, out) : pack_tile<T, kXTile>(rows, k, 0, out);
}

void pack_x(uint32_t dtype, const RowRef* rows, int count, int64_t k, void* to) {
    switch (dtype) {
        case VKS_F32:
            return pack_rows<float>(rows, count, k, to);
        case VKS_BF16:
            return pack_rows<Bf16>(rows, count, k, to);
        case VKS_F16:
            return pack_rows<F16>(rows, count, k, to);
        default:
            return pack_rows<F8>(rows, count, k, to);
    }
}

template <class W>
void pack_w(const RowRef* rows, int64_t k, int64_t ahead, void* to) {
    pack_tile<W, kWTile>(rows, k, ahead, static_cast<float*>(to));
}

// ---- output

// The first `count` of the columns in `sums`, an array that is padded to a multiple of kLanes.
template <class Y>
HWY_INLINE void put_row(const float* sums, Y* y, int64_t count) {
    const auto n = static_cast<size_t>(count);
    for_vectors(n, [&](auto v) HWY_ATTR { v.put(load(sums + v.first), y); });
}

void put(const float* sums, std::byte* y, uint32_t dtype, int64_t column, int64_t count) {
    if (dtype == VKS_F32) {
        put_row(sums, reinterpret_cast<float*>(y) + column, count);
    } else {
        put_row(sums, reinterpret_cast<Bf16*>(y) + column, count);
    }
}

// Up to four columns.
void put4(Sum4 v, std::byte* y, uint32_t dtype, int64_t column, int64_t count) {
    float f[4];
    hn::StoreU(v, D4(), f);
    for (int64_t i = 0; i < std::min<int64_t>(count, 4); ++i) {
        if (dtype == VKS_F32) {
            vks::cpu::store(reinterpret_cast<float*>(y) + column + i, f[i]);
        } else {
            vks::cpu::store(reinterpret_cast<Bf16*>(y) + column + i, f[i]);
        }
    }
}

// ---- direct: M rows of x, N rows of w decoded in registers

template <class W, int M, int N>
HWY_INLINE void multiply_step(const Pair (&w)[N], const float* const (&x)[M], int64_t k, V (&acc)[M][N]) {
    VKS_UNROLL
    for (int m = 0; m < M; ++m) {
        const V low = load(x[m] + k), high = load(x[m] + k + kLanes);
        VKS_UNROLL
        for (int n = 0; n < N; ++n) acc[m][n] = hn::MulAdd(high, w[n].high, hn::MulAdd(low, w[n].low, acc[m][n]));
    }
}

template <class W, int M, int N>
void direct_tile(const Direct& d, int64_t column, int64_t count) {
    const W* w[N];
    const float* scales[N];
    const float* x[M];
    V acc[M][N];
    VKS_UNROLL
    for (int n = 0; n < N; ++n) {
        const RowRef row = d.product->w.row(column + std::min<int64_t>(n, count - 1));
        w[n] = static_cast<const W*>(row.data);
        scales[n] = row.scale;
    }
    VKS_UNROLL
    for (int m = 0; m < M; ++m) {
        x[m] = static_cast<const float*>(d.x[m]);
        VKS_UNROLL
        for (int n = 0; n < N; ++n) acc[m][n] = hn::Zero(D());
    }
    const auto ahead = N * d.product->w.stride * static_cast<int64_t>(sizeof(W));
    Pair v[N];
    V scale[N];
    for (int64_t k = 0; k < d.k;) {
        const int64_t end = std::min(d.k, k + kScaleBlock);
        VKS_UNROLL
        for (int n = 0; n < N; ++n) {
            scale[n] = std::is_same_v<W, F8> ? block_scale(scales[n], k) : hn::Zero(D());
            fetch_block(w[n] + k, ahead);
        }
        for (; k + kStep <= end; k += kStep) {
            VKS_UNROLL
            for (int n = 0; n < N; ++n) v[n] = load_pair(w[n] + k, scale[n]);
            multiply_step<W>(v, x, k, acc);
        }
        if (k < end) {
            VKS_UNROLL
            for (int n = 0; n < N; ++n) v[n] = load_pair_part(w[n] + k, end - k, scale[n]);
            multiply_step<W>(v, x, k, acc);
            k = end;
        }
    }
    const Product& p = *d.product;
    const int64_t row_bytes = p.y_stride * (p.y_dtype == VKS_F32 ? 4 : 2);
    VKS_UNROLL
    for (int m = 0; m < M; ++m) {
        const V zero = hn::Zero(D());
        const Sum4 s =
            sums(acc[m][0], N > 1 ? acc[m][1 % N] : zero, N > 2 ? acc[m][2 % N] : zero, N > 3 ? acc[m][3 % N] : zero);
        put4(s, p.y + m * row_bytes, p.y_dtype, column, std::min<int64_t>(count, N));
    }
}

template <class W, int M>
void direct_rows(const Direct& d) {
    constexpr int kN = kFewRegisters ? (M > 4 ? 1 : M > 2 ? 2 : 4) : M > 6 ? 2 : 4;
    for (int64_t n = d.first; n < d.last; n += kN) direct_tile<W, M, kN>(d, n, d.last - n);
}

constexpr int kDirectRows = 8;

template <class W>
void direct(const Direct& d) {
    switch (d.rows) {
        case 1:
            return direct_rows<W, 1>(d);
        case 2:
            return direct_rows<W, 2>(d);
        case 3:
            return direct_rows<W, 3>(d);
        case 4:
            return direct_rows<W, 4>(d);
        case 5:
            return direct_rows<W, 5>(d);
        case 6:
            return direct_rows<W, 6>(d);
        case 7:
            return direct_rows<W, 7>(d);
        default:
            return direct_rows<W, 8>(d);
    }
}

// ---- block: prepared tiles

// acc[kXTile][kWTile] += x w^T over `count` vectors of k; acc starts at zero when `fresh`.
HWY_INLINE void multiply_tile(const float* x, const float* w, int64_t count, float* acc, bool fresh) {
    V c[kXTile][kWTile];
    VKS_UNROLL
    for (int i = 0; i < kXTile; ++i) {
        VKS_UNROLL
        for (int j = 0; j < kWTile; ++j) {
            c[i][j] = fresh ? hn::Zero(D()) : hn::Load(D(), acc + static_cast<size_t>(i * kWTile + j) * kLanes);
        }
    }
    for (int64_t s = 0; s < count; ++s, x += kXTile * kLanes, w += kWTile * kLanes) {
        V a[kXTile];
        VKS_UNROLL
        for (int i = 0; i < kXTile; ++i) a[i] = hn::Load(D(), x + static_cast<size_t>(i) * kLanes);
        VKS_UNROLL
        for (int j = 0; j < kWTile; ++j) {
            const V b = hn::Load(D(), w + static_cast<size_t>(j) * kLanes);
            VKS_UNROLL
            for (int i = 0; i < kXTile; ++i) c[i][j] = hn::MulAdd(a[i], b, c[i][j]);
        }
    }
    VKS_UNROLL
    for (int i = 0; i < kXTile; ++i) {
        VKS_UNROLL
        for (int j = 0; j < kWTile; ++j) {
            hn::Store(c[i][j], D(), acc + static_cast<size_t>(i * kWTile + j) * kLanes);
        }
    }
}

// kColumns columns at a time: their accumulators and their part of w stay in L1.
void block_columns(const Block& b, const float* w, int first, int columns) {
    constexpr size_t kTile = kXTile * kWTile * kLanes;
    constexpr auto kStride = static_cast<int64_t>(kLanes);
    HWY_ALIGN float acc[kXBlock / kXTile][kColumns / kWTile][kTile];
    const auto* x = static_cast<const float*>(b.x);
    const int64_t padded = round_up(b.k, kGranule), vectors = padded / kStride;
    const int x_tiles = (b.rows + kXTile - 1) / kXTile, w_tiles = (columns + kWTile - 1) / kWTile;
    for (int64_t s = 0; s == 0 || s < vectors; s += kKBlock) {
        const int64_t count = std::min<int64_t>(kKBlock, vectors - s);
        for (int i = 0; i < x_tiles; ++i) {
            for (int j = 0; j < w_tiles; ++j) {
                multiply_tile(x + kXTile * (i * padded + s * kStride), w + kWTile * (j * padded + s * kStride), count,
                              acc[i][j], s == 0);
            }
        }
    }
    const int64_t row_bytes = b.y_stride * (b.y_dtype == VKS_F32 ? 4 : 2);
    for (int r = 0; r < b.rows; ++r) {
        HWY_ALIGN float row[kColumns];
        for (int j = 0; j < w_tiles; ++j) {
            const float* a = acc[r / kXTile][j] + static_cast<size_t>(r % kXTile * kWTile) * kLanes;
            hn::StoreU(sums(load(a), load(a + kLanes), load(a + 2 * kLanes), load(a + 3 * kLanes)), D4(),
                       row + j * kWTile);
        }
        put(row, b.y + r * row_bytes, b.y_dtype, first, columns);
    }
}

void block(const Block& b) {
    const auto* w = static_cast<const float*>(b.w);
    for (int first = 0; first < b.columns; first += kColumns) {
        block_columns(b, w + first * round_up(b.k, kGranule), first, std::min(kColumns, b.columns - first));
    }
}

template <class W>
constexpr GemmKernels kKernels = {
    .element = 4,
    .granule = static_cast<int>(kGranule),
    .x_tile = kXTile,
    .w_tile = kWTile,
    .x_block = kXBlock,
    .direct_rows = kDirectRows,
    .in_place = VKS_F32,
    .pack_x = pack_x,
    .pack_w = pack_w<W>,
    .direct = direct<W>,
    .block = block,
};

}  // namespace

const GemmKernels* kernels(uint32_t w_dtype) {
    switch (w_dtype) {
        case VKS_F32:
            return &kKernels<float>;
        case VKS_BF16:
            return &kKernels<Bf16>;
        case VKS_F16:
            return &kKernels<F16>;
        default:
            return &kKernels<F8>;
    }
}
#else
const GemmKernels* kernels(uint32_t) {
    return nullptr;
}
#endif  // VKS_SIMD
}  // namespace vks::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vks::cpu::simd {
HWY_EXPORT(kernels);

const GemmKernels* gemm_kernels(uint32_t w_dtype) {
    return HWY_DYNAMIC_DISPATCH(kernels)(w_dtype);
}

}  // namespace vks::cpu::simd
#endif  // HWY_ONCE
