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
constexpr int64_t kFresh = 3;
static_assert(kAbsorbColumns == kColumns);

// 64 columns of two rows as four vectors of (upper row, lower row) pairs; n < 64 at the rows' end.
struct Pairs {
    Bits v[kVectors];
};
inline Bits load_codes(const F8* p, int64_t n) {
    // Unpacking works within 128-bit lanes: lane b is given dwords b, b+4, b+8, b+12, of which it makes b's quarter of
    // each result.
    const Bits order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, _mm512_maskz_loadu_epi8(first_bytes(n), p));
}
inline Pairs pair_rows(const F8* upper, const F8* lower, int64_t n, const Decoder& decoder) {
    Bits low[2], high[2];
    decoder.bytes(load_codes(upper, n), low[0], high[0]);
    decoder.bytes(lower ? load_codes(lower, n) : _mm512_setzero_si512(), low[1], high[1]);
    const Bits upper0 = _mm512_unpacklo_epi8(low[0], high[0]), upper1 = _mm512_unpackhi_epi8(low[0], high[0]);
    const Bits lower0 = _mm512_unpacklo_epi8(low[1], high[1]), lower1 = _mm512_unpackhi_epi8(low[1], high[1]);
    return {{_mm512_unpacklo_epi16(upper0, lower0), _mm512_unpackhi_epi16(upper0, lower0),
             _mm512_unpacklo_epi16(upper1, lower1), _mm512_unpackhi_epi16(upper1, lower1)}};
}
inline Pairs pair_rows(const Bf16* upper, const Bf16* lower, int64_t n, const Decoder&) {
    // Word i of the one, word i of the other, for the first and the second half.
    const Bits counts = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const Bits second = _mm512_add_epi16(counts, _mm512_set1_epi16(16));
    Pairs pairs;
    VKS_AVX512BF16_UNROLL
    for (int half = 0; half < 2; ++half) {
        const __mmask32 mask = first_words(n - 32 * half);
        const Bits a = _mm512_maskz_loadu_epi16(mask, upper + 32 * half);
        const Bits b = lower ? _mm512_maskz_loadu_epi16(mask, lower + 32 * half) : _mm512_setzero_si512();
        pairs.v[2 * half] = _mm512_permutex2var_epi16(a, counts, b);
        pairs.v[2 * half + 1] = _mm512_permutex2var_epi16(a, second, b);
    }
    return pairs;
}

// A group's rows as they are in w, 64 columns from `first` on of rows 2i and 2i + 1.
template <class W>
struct Fresh {
    const W* first;
    int64_t stride, count, columns;
    Decoder decoder;

    Pairs operator()(int64_t i) const {
        const W* upper = first + 2 * i * stride;
        const W* lower = 2 * i + 1 < count ? upper + stride : nullptr;
        return pair_rows(upper, lower, columns, decoder);
    }
};

// Brings rows of w into L1 by reading them, in memory's order: CPUs' own prefetchers follow that, and don't follow
// requests for lines. Asks for what comes Fetch::ahead bytes later and finds the pages of rows far behind that. After
// the head's last row comes the next head's first, if there is one.
template <class W>
void fetch_rows(const Absorb& a, int64_t from, int64_t to) {
    constexpr int64_t kPagesAhead = 2 * kGroup, kBytes = sizeof(W);
    const auto row = [&a](int64_t d) {
        const int64_t index = d < a.nope ? d : d - a.nope + a.head_rows;
        return reinterpret_cast<const char*>(a.w.data) + (index * a.w.stride + a.column) * kBytes;
    };
    const Fetch to_cache(a.threads);
    const int64_t rows_ahead = to_cache.ahead / (a.w.stride * kBytes);
    to = std::min(to, a.last ? a.nope : 2 * a.nope);
    for (; from < to; ++from) {
        const char *p = row(from), *ahead = row(from + rows_ahead);
        for (int64_t i = 0; i < a.columns * kBytes; i += 64) {
            static_cast<void>(static_cast<const volatile char*>(p)[i]);
            to_cache.line(ahead + i);
        }
        _mm_prefetch(row(from + kPagesAhead), _MM_HINT_T1);
    }
}

// That group, `c` columns into the item's. It is worked on column by column, but memory likes its own order: with each
// 64 columns goes a share of the rows behind the group.
template <class W>
Fresh<W> fresh_group(const Absorb& a, int64_t d, int64_t count, int64_t c) {
    const int64_t end = std::min(c + kColumns, a.columns);
    fetch_rows<W>(a, d + count + count * c / a.columns, d + count + count * end / a.columns);
    return {static_cast<const W*>(a.w.row(d).data) + a.column + c, a.w.stride, count, a.columns - c, {}};
}

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
    for (int64_t c = 0; c < a.columns; c += kColumns) {
        const Fresh<W> fresh = fresh_group<W>(a, d, count, c);
        for (int64_t i = 0; i < (count + 1) / 2; ++i) {
            const Pairs pairs = fresh(i);
            float* to = space.group + i * space.stride + c;
            VKS_AVX512BF16_UNROLL
            for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(to + 16 * v, pairs.v[v]);
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
template <int M, class Source>
void accumulate(const Tile& t, const Source& source) {
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

template <class Source>
void accumulate_rows(int64_t rows, const Tile& t, const Source& source) {
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

template <class W>
void absorb_head(const Absorb& a) {
    const AbsorbSpace space(a);
    copy_x(a, space);
    std::memset(space.sums, 0, static_cast<size_t>(a.rows * space.stride) * sizeof(float));
    fetch_rows<W>(a, 0, absorb_group(a, 0));
    int64_t pair = 0;
    for (int64_t d = 0; d < a.nope;) {
        const int64_t count = absorb_group(a, d), pairs = (count + 1) / 2;
        // Up to kFresh tokens are served while a row is being decoded; for more it is done beforehand, once.
        const bool fresh = a.rows <= kFresh;
        if (!fresh) decode<W>(a, d, count, space);
        const float* scales = a.w.row(d).scale;
        for (int64_t t = 0; t < a.rows; t += kRows) {
            Tile tile = {.x = reinterpret_cast<const uint32_t*>(space.x + t * space.x_stride) + pair,
                         .x_stride = space.x_stride,
                         .sums = nullptr,
                         .stride = space.stride,
                         .pairs = pairs,
                         .scale = 1.0f};
            for (int64_t c = 0; c < a.columns; c += kColumns) {
                tile.sums = space.sums + t * space.stride + c;
                if (scales) tile.scale = scales[(a.column + c) / a.w.rows_per_scale];
                if (fresh) {
                    accumulate_rows(a.rows, tile, fresh_group<W>(a, d, count, c));
                } else {
                    accumulate_rows(a.rows - t, tile, Decoded{space.group + c, space.stride});
                }
            }
        }
        d += count;
        pair += pairs;
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
