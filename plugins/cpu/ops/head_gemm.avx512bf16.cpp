// head_gemm/1 on AVX512_BF16: bf16 activations, weights in bf16 or e4m3. EXPAND is a matrix product per head. ABSORB
// multiplies pairs of w's rows at once; a group of rows gives a partial sum, and sum = fma(partial, w_scale, sum).
// Bound: w's bytes when T is small, multiply-adds when it is large.
#include <algorithm>
#include <cstring>

#include "plugins/cpu/numeric.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/absorb.h"
#include "plugins/cpu/simd/avx512bf16.h"
#include "plugins/cpu/simd/gemm_avx512bf16.h"
#include "plugins/cpu/simd/gemm_ops.h"

namespace vks::cpu::simd {
namespace {

#if VKS_AVX512BF16
VKS_AVX512BF16_BEGIN

#include "plugins/cpu/simd/avx512bf16-inl.h"

// A register tile: tokens by vectors of 16 columns.
constexpr int kRows = 6, kVectors = 4;
constexpr int64_t kColumns = 16 * kVectors;
static_assert(kAbsorbColumns == kColumns);

// 64 columns of a row of w as they are in memory; n < 64 at the row's end.
template <class W>
struct Raw;
template <>
struct Raw<F8> {
    Bits codes;
};
template <>
struct Raw<Bf16> {
    Bits half[2];
};
inline void load(Raw<F8>& raw, const F8* p, int64_t n) {
    raw.codes = _mm512_maskz_loadu_epi8(first_bytes(n), p);
}
inline void load(Raw<Bf16>& raw, const Bf16* p, int64_t n) {
    raw.half[0] = _mm512_maskz_loadu_epi16(first_words(n), p);
    raw.half[1] = _mm512_maskz_loadu_epi16(first_words(n - 32), p + 32);
}

// Two rows' 64 columns as four vectors of (upper row, lower row) pairs.
struct Pairs {
    Bits v[kVectors];
};
inline Pairs pair_rows(const Raw<F8>& upper, const Raw<F8>& lower, const Decoder& decoder) {
    // Unpacking works within 128-bit lanes: lane b is given dwords b, b+4, b+8, b+12, of which it makes b's quarter of
    // each result.
    const Bits order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    Bits low[2], high[2];
    decoder.bytes(_mm512_permutexvar_epi32(order, upper.codes), low[0], high[0]);
    decoder.bytes(_mm512_permutexvar_epi32(order, lower.codes), low[1], high[1]);
    const Bits upper0 = _mm512_unpacklo_epi8(low[0], high[0]), upper1 = _mm512_unpackhi_epi8(low[0], high[0]);
    const Bits lower0 = _mm512_unpacklo_epi8(low[1], high[1]), lower1 = _mm512_unpackhi_epi8(low[1], high[1]);
    return {{_mm512_unpacklo_epi16(upper0, lower0), _mm512_unpackhi_epi16(upper0, lower0),
             _mm512_unpacklo_epi16(upper1, lower1), _mm512_unpackhi_epi16(upper1, lower1)}};
}
inline Pairs pair_rows(const Raw<Bf16>& upper, const Raw<Bf16>& lower, const Decoder&) {
    // Word i of the one, word i of the other, for the first and the second half.
    const Bits counts = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const Bits second = _mm512_add_epi16(counts, _mm512_set1_epi16(16));
    Pairs pairs;
    VKS_AVX512BF16_UNROLL
    for (int half = 0; half < 2; ++half) {
        pairs.v[2 * half] = _mm512_permutex2var_epi16(upper.half[half], counts, lower.half[half]);
        pairs.v[2 * half + 1] = _mm512_permutex2var_epi16(upper.half[half], second, lower.half[half]);
    }
    return pairs;
}

// What to ask for while rows are read: those some KiB behind them, which after the head's last row are the next head's.
class Ahead {
public:
    Ahead(const Absorb& a, int64_t element)
        : fetch_(a.threads),
          data_(reinterpret_cast<const char*>(a.w.data) + a.column * element),
          stride_(a.w.stride * element),
          rows_(fetch_.ahead / stride_),
          nope_(a.nope),
          end_(a.last ? a.nope : 2 * a.nope),
          gap_(a.head_rows - a.nope) {}

    // For row d; itself, where nothing is known to come.
    const char* row(int64_t d) const {
        const int64_t behind = d + rows_ < end_ ? d + rows_ : d;
        return data_ + (behind < nope_ ? behind : behind + gap_) * stride_;
    }
    // V * 64 columns of such a row.
    template <class W, int V>
    void lines(const char* row, int64_t column) const {
        constexpr int kLines = V * static_cast<int>(kColumns * sizeof(W)) / 64;
        const char* p = row + column * static_cast<int64_t>(sizeof(W));
        if (fetch_.into == Fetch::kL2) {
            VKS_AVX512BF16_UNROLL
            for (int i = 0; i < kLines; ++i) _mm_prefetch(p + 64 * i, _MM_HINT_T1);
        } else {
            VKS_AVX512BF16_UNROLL
            for (int i = 0; i < kLines; ++i) _mm_prefetch(p + 64 * i, _MM_HINT_T0);
        }
    }

private:
    Fetch fetch_;
    const char* data_;
    int64_t stride_, rows_, nope_, end_, gap_;
};

// The same decoded before: [pairs, stride] dwords.
struct Decoded {
    const float* group;
    int64_t stride;

    Pairs operator()(int64_t i) const {
        Pairs pairs;
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < kVectors; ++v) pairs.v[v] = _mm512_loadu_si512(group + i * stride + 16 * v);
        return pairs;
    }
};

template <class W>
void decode(const Absorb& a, int64_t d, int64_t count, const AbsorbSpace& space) {
    const Decoder decoder;
    const Ahead ahead(a, sizeof(W));
    const W* rows = static_cast<const W*>(a.w.row(d).data) + a.column;
    for (int64_t i = 0; i < count; i += 2) {
        const W* upper = rows + i * a.w.stride;
        const char* behind = ahead.row(d + i);
        float* to = space.group + i / 2 * space.stride;
        for (int64_t c = 0; c < a.columns; c += kColumns) {
            Raw<W> raw[2] = {};
            load(raw[0], upper + c, a.columns - c);
            if (i + 1 < count) load(raw[1], upper + a.w.stride + c, a.columns - c);
            const Pairs pairs = pair_rows(raw[0], raw[1], decoder);
            VKS_AVX512BF16_UNROLL
            for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(to + c + 16 * v, pairs.v[v]);
            ahead.lines<W, 1>(behind, c);
            ahead.lines<W, 1>(behind + a.w.stride * static_cast<int64_t>(sizeof(W)), c);
        }
    }
}

// A tile of sums, its tokens' pairs of x, what it is multiplied with.
struct Tile {
    const uint32_t* x;
    int64_t x_stride;
    float* sums;
    int64_t stride;
    int64_t pairs;
    float scale;
};

// sums[M, 64] += scale * x[M, pairs] w[pairs, 64]
template <int M>
void accumulate(const Tile& t, const Decoded& source) {
    F32x16 acc[M][kVectors];
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) {
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < kVectors; ++v) acc[m][v] = _mm512_setzero_ps();
    }
    for (int64_t i = 0; i < t.pairs; ++i) {
        const Pairs w = source(i);
        VKS_AVX512BF16_UNROLL
        for (int m = 0; m < M; ++m) {
            const Bits factor = _mm512_set1_epi32(static_cast<int>(t.x[m * t.x_stride + i]));
            VKS_AVX512BF16_UNROLL
            for (int v = 0; v < kVectors; ++v) acc[m][v] = dot2(acc[m][v], factor, w.v[v]);
        }
    }
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) {
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < kVectors; ++v) {
            float* to = t.sums + m * t.stride + 16 * v;
            _mm512_storeu_ps(to, _mm512_fmadd_ps(acc[m][v], _mm512_set1_ps(t.scale), _mm512_loadu_ps(to)));
        }
    }
}

void accumulate_rows(int64_t rows, const Tile& t, const Decoded& source) {
    switch (rows) {
        case 1:
            return accumulate<1>(t, source);
        case 2:
            return accumulate<2>(t, source);
        case 3:
            return accumulate<3>(t, source);
        case 4:
            return accumulate<4>(t, source);
        case 5:
            return accumulate<5>(t, source);
        default:
            return accumulate<kRows>(t, source);
    }
}

// x's pairs, every group starting with a new one.
void copy_x(const Absorb& a, const AbsorbSpace& space) {
    for (int64_t t = 0; t < a.rows; ++t) {
        const auto* from = reinterpret_cast<const uint16_t*>(a.x) + t * a.x_stride;
        auto* to = reinterpret_cast<uint16_t*>(space.x + t * space.x_stride);
        for (int64_t d = 0; d < a.nope;) {
            const int64_t count = absorb_group(a, d);
            std::memcpy(to, from + d, static_cast<size_t>(count) * 2);
            if (count % 2) to[count] = 0;
            to += (count + 1) / 2 * 2;
            d += count;
        }
    }
}

void put_row(const float* sums, std::byte* y, uint32_t dtype, int64_t count) {
    for (int64_t c = 0; c < count; c += 16) {
        const __mmask16 mask = first_floats(count - c);
        const F32x16 v = _mm512_loadu_ps(sums + c);
        if (dtype == VKS_F32) {
            _mm512_mask_storeu_ps(y + c * 4, mask, v);
        } else {
            _mm256_mask_storeu_epi16(y + c * 2, mask, round_to_bf16(v));
        }
    }
}

// Up to three tokens, during whose products memory is waited for: rows are read one after the other, as they lie there,
// for no CPU looks ahead well of what is read column by column. Between a group's pairs of rows its sums are in L1.
// group[M, V * 64] += x's pair times rows d and d + 1 of w, columns from c on.
template <class W, int M, int V>
inline void add_pair(const Absorb& a, const AbsorbSpace& space, const Ahead& ahead, int64_t d, int64_t pair,
                     int64_t c) {
    const Decoder decoder;
    const W* upper = reinterpret_cast<const W*>(a.w.data) + d * a.w.stride + a.column + c;
    const W* lower = upper + a.w.stride;
    Raw<W> first[V];
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < V; ++i) load(first[i], upper + i * kColumns, kColumns);
    ahead.lines<W, V>(ahead.row(d), c);
    ahead.lines<W, V>(ahead.row(d + 1), c);
    Bits x[M];
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) {
        x[m] = _mm512_set1_epi32(reinterpret_cast<const int*>(space.x + m * space.x_stride)[pair]);
    }
    float* group = space.group + c;
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < V; ++i) {
        Raw<W> second;
        load(second, lower + i * kColumns, kColumns);
        const Pairs w = pair_rows(first[i], second, decoder);
        VKS_AVX512BF16_UNROLL
        for (int m = 0; m < M; ++m) {
            VKS_AVX512BF16_UNROLL
            for (int v = 0; v < kVectors; ++v) {
                float* to = group + m * space.stride + i * kColumns + 16 * v;
                _mm512_storeu_ps(to, dot2(_mm512_loadu_ps(to), x[m], w.v[v]));
            }
        }
    }
}

// Columns from c on, as many as V * 64 goes into. Returns where they end.
template <class W, int M, int V>
int64_t add_columns(const Absorb& a, const AbsorbSpace& space, int64_t d, int64_t count, int64_t pair, int64_t c) {
    const Ahead ahead(a, sizeof(W));
    for (; c + V * kColumns <= a.columns; c += V * kColumns) {
        for (int64_t i = 0; i < count; i += 2) add_pair<W, M, V>(a, space, ahead, d + i, pair + i / 2, c);
    }
    return c;
}

template <class W, int M>
void add_group(const Absorb& a, const AbsorbSpace& space, int64_t d, int64_t count, int64_t pair) {
    std::memset(space.group, 0, static_cast<size_t>(M * space.stride) * sizeof(float));
    add_columns<W, M, 2>(a, space, d, count, pair, add_columns<W, M, 8>(a, space, d, count, pair, 0));
    const float* scales = a.w.row(d).scale;
    for (int64_t c = 0; c < a.columns; c += kColumns) {
        const F32x16 scale = _mm512_set1_ps(scales ? scales[(a.column + c) / kBlock] : 1.0f);
        for (int m = 0; m < M; ++m) {
            const float* group = space.group + m * space.stride + c;
            float* sums = space.sums + m * space.stride + c;
            VKS_AVX512BF16_UNROLL
            for (int v = 0; v < kColumns; v += 16) {
                const F32x16 before = _mm512_loadu_ps(sums + v);
                _mm512_storeu_ps(sums + v, _mm512_fmadd_ps(_mm512_loadu_ps(group + v), scale, before));
            }
        }
    }
}

// More tokens: the group is decoded once.
template <class W>
void add_decoded(const Absorb& a, const AbsorbSpace& space, int64_t d, int64_t count, int64_t pair) {
    decode<W>(a, d, count, space);
    const float* scales = a.w.row(d).scale;
    for (int64_t t = 0; t < a.rows; t += kRows) {
        Tile tile = {.x = reinterpret_cast<const uint32_t*>(space.x + t * space.x_stride) + pair,
                     .x_stride = space.x_stride,
                     .sums = nullptr,
                     .stride = space.stride,
                     .pairs = (count + 1) / 2,
                     .scale = 1.0f};
        for (int64_t c = 0; c < a.columns; c += kColumns) {
            tile.sums = space.sums + t * space.stride + c;
            if (scales) tile.scale = scales[(a.column + c) / kBlock];
            accumulate_rows(a.rows - t, tile, {space.group + c, space.stride});
        }
    }
}

template <class W>
void absorb_head(const Absorb& a) {
    const AbsorbSpace space(a);
    copy_x(a, space);
    std::memset(space.sums, 0, static_cast<size_t>(a.rows * space.stride) * sizeof(float));
    const bool whole = a.columns % kBlock == 0 && a.nope % 2 == 0 && a.w.first % 2 == 0;
    const auto add = !whole || a.rows > 3 ? add_decoded<W>
                     : a.rows == 1        ? add_group<W, 1>
                     : a.rows == 2        ? add_group<W, 2>
                                          : add_group<W, 3>;
    int64_t pair = 0;
    for (int64_t d = 0; d < a.nope;) {
        const int64_t count = absorb_group(a, d);
        add(a, space, d, count, pair);
        d += count;
        pair += (count + 1) / 2;
    }
    const int64_t y_bytes = a.y_dtype == VKS_F32 ? 4 : 2;
    for (int64_t t = 0; t < a.rows; ++t) {
        put_row(space.sums + t * space.stride, a.y + (t * a.y_stride + a.column) * y_bytes, a.y_dtype, a.columns);
    }
}

VKS_AVX512BF16_END

AbsorbKernel kernel(uint32_t w_dtype) {
    return w_dtype == VKS_F8_E4M3 ? absorb_head<F8> : absorb_head<Bf16>;
}

#else

AbsorbKernel kernel(uint32_t) {
    return nullptr;
}

#endif  // VKS_AVX512BF16

enum { kX, kW };

const GemmKernels* expand_kernels(std::span<const Arg> args) {
    return args[kX].dtype == VKS_BF16 ? avx512bf16_kernels(args[kX].dtype, args[kW].dtype) : nullptr;
}
bool absorbs(const void* params) {
    return static_cast<const vks_head_gemm_params*>(params)->mode == VKS_HEAD_ABSORB;
}
bool usable(const Signature& s) {
    return expand_kernels(s.args) != nullptr;
}
uint64_t scratch(const Signature& s) {
    return absorbs(s.params) ? absorb_scratch(s) : head_expand_scratch(*expand_kernels(s.args), s);
}
void run(const Call& call) {
    if (absorbs(call.params)) {
        absorb(kernel(call.args[kW].dtype), call);
    } else {
        head_expand(*expand_kernels(call.args), call);
    }
}

}  // namespace
}  // namespace vks::cpu::simd

namespace vks::cpu {

constinit const Variant avx512bf16_head_gemm = {"avx512bf16", nullptr, simd::usable, simd::scratch, simd::run};

}  // namespace vks::cpu
