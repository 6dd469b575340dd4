// Matrix-product kernels on vdpbf16ps: each instruction adds 16 sums of two bf16 products to f32 accumulators. Weights
// in e4m3 become bf16 through byte tables in registers (vpermi2b), exactly; a block of 128 gives a partial sum, and
// acc = fma(partial, w_scale * x_scale, acc).
//
// The fma shares its ports with vdpbf16ps, so that 4 of 5 instructions at most are products of e4m3 weights. Measured
// by `bench ops`, 512 rows of x: one Zen 4 core (236 GFLOP/s) 130 to 161; one Zen 5 core (500 to 537), an earlier
// version, 340, with scaled x 279, bf16 weights 395.
#include "plugins/cpu/simd/gemm_avx512bf16.h"

#include <algorithm>
#include <cstring>

#include "plugins/cpu/numeric.h"
#include "plugins/cpu/simd/avx512bf16.h"

namespace vks::cpu::simd {

#if VKS_AVX512BF16
VKS_AVX512BF16_BEGIN
namespace {

#include "plugins/cpu/simd/avx512bf16-inl.h"

constexpr int64_t kScaleBlock = 128;
constexpr int kGranule = 64;
constexpr int kXTile = 6, kXHalf = 3, kWTile = 4;
constexpr int kXBlock = 12, kColumns = 16;
constexpr int kKBlock = 32;  // vectors of k between two visits of a tile's accumulators

constexpr int64_t padded(int64_t k) {
    return (k + kGranule - 1) / kGranule * kGranule;
}

// ---- 64 elements of a row as two vectors; n < 64 at its end

struct Pair {
    Bits first, second;
};
inline Pair load_pair(const F8* p, int64_t n, const Decoder& decoder) {
    Pair v;
    const Bits codes = n >= 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(first_bytes(n), p);
    decoder.decode(codes, v.first, v.second);
    return v;
}
inline Pair load_pair(const Bf16* p, int64_t n, const Decoder&) {
    if (n >= 64) return {_mm512_loadu_si512(p), _mm512_loadu_si512(p + 32)};
    return {_mm512_maskz_loadu_epi16(first_words(n), p),
            n > 32 ? _mm512_maskz_loadu_epi16(first_words(n - 32), p + 32) : _mm512_setzero_si512()};
}

// Rows of w are read in memory's order. fetch() asks for what will be read Fetch::ahead bytes later; the tables that
// map it were walked by find_pages() when kPageAhead bytes were left: a fetch that has to wait for a walk comes too
// late, and those behind it as well. Past the end of memory both do nothing.
constexpr int64_t kPageAhead = 24576, kPage = 4096;
template <class T>
inline void fetch(const Fetch& to, const char* p) {
    to.line(p);
    if constexpr (sizeof(T) > 1) to.line(p + 64);
}
inline void find_pages(const char* p, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += kPage) _mm_prefetch(p + i, _MM_HINT_T1);
}

// ---- pack

template <bool Ahead, class T, int N>
void pack_rows(const RowRef* rows, int64_t k, void* to) {
    const Decoder decoder;
    const Fetch to_cache(1);
    for (int n = 0; n < N; ++n) {  // a row after the other, in memory's order
        auto* out = static_cast<uint16_t*>(to) + n * kWidth;
        const T* from = static_cast<const T*>(rows[n].data);
        if (Ahead && from) {
            find_pages(reinterpret_cast<const char*>(from) + kPageAhead, k * static_cast<int64_t>(sizeof(T)));
        }
        for (int64_t i = 0; i < k; i += kGranule, out += N * kGranule) {
            Pair v = {_mm512_setzero_si512(), _mm512_setzero_si512()};
            if (from) {
                v = load_pair(from + i, k - i, decoder);
                if constexpr (Ahead) fetch<T>(to_cache, reinterpret_cast<const char*>(from + i) + to_cache.ahead);
            }
            _mm512_store_si512(out, v.first);
            _mm512_store_si512(out + N * kWidth, v.second);
        }
    }
}

template <class T>
void pack_rows(const RowRef* rows, int count, int64_t k, void* to) {
    count == 1 ? pack_rows<false, T, 1>(rows, k, to) : pack_rows<false, T, kXTile>(rows, k, to);
}

void pack_x(uint32_t dtype, const RowRef* rows, int count, int64_t k, void* to) {
    dtype == VKS_BF16 ? pack_rows<Bf16>(rows, count, k, to) : pack_rows<F8>(rows, count, k, to);
}

template <class W>
void pack_w(const RowRef* rows, int64_t k, int64_t, void* to) {
    pack_rows<true, W, kWTile>(rows, k, to);
}

// ---- output

// The first `count` of 16 columns.
void put(F32x16 v, std::byte* y, uint32_t dtype, int64_t column, int64_t count) {
    const __mmask16 mask = first_floats(count);
    if (dtype == VKS_F32) {
        _mm512_mask_storeu_ps(y + column * 4, mask, v);
    } else {
        _mm256_mask_storeu_epi16(y + column * 2, mask, round_to_bf16(v));
    }
}

#include "plugins/cpu/simd/avx512bf16_direct-inl.h"

// ---- block: prepared tiles

template <int Rows>
inline void load_tile(F32x16 (&c)[Rows][kWTile], const float* acc, bool fresh) {
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < Rows; ++i) {
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < kWTile; ++j) {
            c[i][j] = fresh ? _mm512_setzero_ps() : _mm512_load_ps(acc + (i * kWTile + j) * 16);
        }
    }
}

template <int Rows>
inline void store_tile(const F32x16 (&c)[Rows][kWTile], float* acc) {
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < Rows; ++i) {
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < kWTile; ++j) _mm512_store_ps(acc + (i * kWTile + j) * 16, c[i][j]);
    }
}

// y[Rows][kWTile], kColumns apart: the sums over lanes.
template <int Rows>
inline void sum_tile(const F32x16 (&c)[Rows][kWTile], float* y) {
    static_assert(kWTile == 4);
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < Rows; ++i) _mm_storeu_ps(y + i * kColumns, sums(c[i][0], c[i][1], c[i][2], c[i][3]));
}

template <int Rows>
inline void step_tile(F32x16 (&c)[Rows][kWTile], const uint16_t* x, const uint16_t* w) {
    // Loads of the next step, moved up here, would displace accumulators: 24 and a step's operands are all there is
    // room for.
    asm volatile("" ::: "memory");
    Bits a[Rows];
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < Rows; ++i) a[i] = _mm512_load_si512(x + i * kWidth);
    VKS_AVX512BF16_UNROLL
    for (int j = 0; j < kWTile; ++j) {
        const Bits b = _mm512_load_si512(w + j * kWidth);
        VKS_AVX512BF16_UNROLL
        for (int i = 0; i < Rows; ++i) c[i][j] = dot2(c[i][j], a[i], b);
    }
}

// A visit of a tile: which part of k, where its accumulators are kept between visits, where its outputs belong.
struct Visit {
    int64_t count;  // vectors of k
    bool first, last;
    float* acc;  // [rows of the tile, kWTile] vectors
    float* y;    // [rows of the tile, kColumns]
};

// A tile without scales: acc += x w^T.
void multiply_tile(const uint16_t* x, const uint16_t* w, const Visit& visit) {
    F32x16 c[kXTile][kWTile];
    load_tile(c, visit.acc, visit.first);
    for (int64_t s = 0; s < visit.count; ++s, x += kXTile * kWidth, w += kWTile * kWidth) step_tile(c, x, w);
    visit.last ? sum_tile(c, visit.y) : store_tile(c, visit.acc);
}

// Scales of kKBlock vectors of k: a tile's rows side by side.
template <int N>
using Scales = float[kKBlock / 4][N];

template <int N>
void gather_scales(const RowRef* rows, int64_t block, int64_t blocks, Scales<N>& to) {
    for (int64_t b = 0; b < blocks; ++b) {
        for (int i = 0; i < N; ++i) to[b][i] = rows[i].scale ? rows[i].scale[block + b] : 0.0f;
    }
}

// Half of a tile with scaled blocks of up to 128: acc = fma(x w^T, w_scale * x_scale, acc), block after block. Halves,
// so that sums of a block and of all have room in registers: stores of accumulators are what a core has least room for,
// so the last visit's sums over lanes are formed right there.
template <bool XScaled>
void multiply_half_scaled(const uint16_t* x, const uint16_t* w, const Visit& visit, const Scales<kWTile>& w_scale,
                          const Scales<kXTile>& x_scale, int row) {
    F32x16 total[kXHalf][kWTile];
    load_tile(total, visit.acc, visit.first);
    for (int64_t block = 0; block * 4 < visit.count; ++block) {
        F32x16 c[kXHalf][kWTile];
        load_tile(c, visit.acc, true);
        const int64_t steps = std::min<int64_t>(4, visit.count - block * 4);
        if (steps == 4) {
            VKS_AVX512BF16_UNROLL
            for (int s = 0; s < 4; ++s) step_tile(c, x + s * kXTile * kWidth, w + s * kWTile * kWidth);
        } else {
            for (int64_t s = 0; s < steps; ++s) step_tile(c, x + s * kXTile * kWidth, w + s * kWTile * kWidth);
        }
        x += 4 * kXTile * kWidth;
        w += 4 * kWTile * kWidth;
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < kWTile; ++j) {
            const F32x16 scale = _mm512_set1_ps(w_scale[block][j]);
            VKS_AVX512BF16_UNROLL
            for (int i = 0; i < kXHalf; ++i) {
                const F32x16 both = XScaled ? _mm512_mul_ps(scale, _mm512_set1_ps(x_scale[block][row + i])) : scale;
                total[i][j] = _mm512_fmadd_ps(c[i][j], both, total[i][j]);
            }
        }
    }
    visit.last ? sum_tile(total, visit.y) : store_tile(total, visit.acc);
}

// Of a block of rows and kColumns columns.
struct Tiles {
    alignas(64) float acc[kXBlock / kXTile][kColumns / kWTile][kXTile * kWTile * 16];
    alignas(64) float y[kXBlock][kColumns];
};

void plain_columns(const Block& b, const uint16_t* w, int x_tiles, int w_tiles, Tiles& to) {
    const auto* x = static_cast<const uint16_t*>(b.x);
    const int64_t row = padded(b.k), vectors = row / kWidth;
    for (int64_t s = 0; s == 0 || s < vectors; s += kKBlock) {
        const int64_t count = std::min<int64_t>(kKBlock, vectors - s);
        for (int i = 0; i < x_tiles; ++i) {
            for (int j = 0; j < w_tiles; ++j) {
                multiply_tile(x + kXTile * (i * row + s * kWidth), w + kWTile * (j * row + s * kWidth),
                              {count, s == 0, s + count >= vectors, to.acc[i][j], &to.y[i * kXTile][j * kWTile]});
            }
        }
    }
}

template <bool XScaled>
void scaled_columns(const Block& b, const uint16_t* w, const RowRef* w_rows, int x_tiles, int w_tiles, Tiles& to) {
    const auto* x = static_cast<const uint16_t*>(b.x);
    const int64_t row = padded(b.k), vectors = row / kWidth;
    Scales<kWTile> w_scale[kColumns / kWTile];
    Scales<kXTile> x_scale;
    for (int64_t s = 0; s == 0 || s < vectors; s += kKBlock) {
        const int64_t count = std::min<int64_t>(kKBlock, vectors - s), blocks = (count + 3) / 4;
        for (int j = 0; j < w_tiles; ++j) gather_scales(w_rows + j * kWTile, s / 4, blocks, w_scale[j]);
        for (int i = 0; i < x_tiles; ++i) {
            if constexpr (XScaled) gather_scales(b.x_rows + i * kXTile, s / 4, blocks, x_scale);
            for (int j = 0; j < w_tiles; ++j) {
                for (int half = 0; half < kXTile; half += kXHalf) {
                    multiply_half_scaled<XScaled>(
                        x + kXTile * (i * row + s * kWidth) + half * kWidth, w + kWTile * (j * row + s * kWidth),
                        {count, s == 0, s + count >= vectors, to.acc[i][j] + half * kWTile * 16,
                         &to.y[i * kXTile + half][j * kWTile]},
                        w_scale[j], x_scale, half);
                }
            }
        }
    }
}

// kColumns columns at a time: their accumulators and their part of w stay in L1.
template <class W>
void block(const Block& b) {
    Tiles tiles;
    const int64_t row_bytes = b.y_stride * (b.y_dtype == VKS_F32 ? 4 : 2);
    const int x_tiles = (b.rows + kXTile - 1) / kXTile;
    for (int first = 0; first < b.columns; first += kColumns) {
        const int columns = std::min(kColumns, b.columns - first), w_tiles = (columns + kWTile - 1) / kWTile;
        const uint16_t* w = static_cast<const uint16_t*>(b.w) + first * padded(b.k);
        if (sizeof(W) > 1) {
            plain_columns(b, w, x_tiles, w_tiles, tiles);
        } else if (b.x_scaled) {
            scaled_columns<true>(b, w, b.w_rows + first, x_tiles, w_tiles, tiles);
        } else {
            scaled_columns<false>(b, w, b.w_rows + first, x_tiles, w_tiles, tiles);
        }
        for (int r = 0; r < b.rows; ++r) {
            put(_mm512_load_ps(tiles.y[r]), b.y + r * row_bytes, b.y_dtype, first, columns);
        }
    }
}

template <class W>
constexpr GemmKernels kKernels = {
    .element = 2,
    .granule = kGranule,
    .x_tile = kXTile,
    .w_tile = kWTile,
    .x_block = kXBlock,
    .direct_rows = 8,
    .in_place = VKS_BF16,
    .pack_x = pack_x,
    .pack_w = pack_w<W>,
    .direct = direct<W>,
    .block = block<W>,
};

}  // namespace
VKS_AVX512BF16_END

const GemmKernels* avx512bf16_kernels(uint32_t x_dtype, uint32_t w_dtype) {
    if (!has_avx512bf16()) return nullptr;
    if (w_dtype == VKS_F8_E4M3 && (x_dtype == VKS_BF16 || x_dtype == VKS_F8_E4M3)) return &kKernels<F8>;
    return w_dtype == VKS_BF16 && x_dtype == VKS_BF16 ? &kKernels<Bf16> : nullptr;
}

#else

const GemmKernels* avx512bf16_kernels(uint32_t, uint32_t) {
    return nullptr;
}

#endif  // VKS_AVX512BF16

}  // namespace vks::cpu::simd
