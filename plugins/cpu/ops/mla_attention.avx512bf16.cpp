// mla_attention/1 on AVX512_BF16: bf16 queries and cache. Scores are bf16 dot products of 16 heads at once with a pair
// of a row's values, or of 8 with two pairs; weights are rounded to bf16 and multiply pairs of rows at once (the sum
// that divides is of the rounded ones). Bound: 2 * heads * (2 * lora + rope) operations a cache row, reached before its
// bytes from some ten heads on. In L2, one Zen 4 core (236 GFLOP/s), 16 heads and 8: scores 234 and 233, outputs 218
// and 220, with softmax 209 and 205.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <type_traits>

#include "plugins/cpu/numeric.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/attention.h"
#include "plugins/cpu/simd/avx512bf16.h"
#include "plugins/cpu/simd/pages.h"
#include "plugins/cpu/sizes.h"

namespace vks::cpu::simd {
namespace {

#if VKS_AVX512BF16
VKS_AVX512BF16_BEGIN

#include "plugins/cpu/simd/avx512bf16-inl.h"

// A vector holds scores of kLanes heads with one row, or of up to half as many heads with two: first all of one row.
constexpr int kLanes = 16, kHalf = kLanes / 2;
// Register tiles: cache rows by a vector of heads for the scores, heads by kColumns columns for the output.
constexpr int kRows = 16, kHeads = 8;
constexpr int64_t kColumns = kWidth;
// Rows whose scores are formed before their weights: the more, the less often the output's sums are loaded.
constexpr int64_t kTile = 128;

// A row, of a query or of the cache, is lora and rope, each padded with zeros.
struct Space {
    int64_t lora, rope, row;  // padded
    uint32_t* q;              // [heads / kLanes, row / 2, kLanes]: a pair of neighbours of each head's query; of up to
                              // kHalf heads [row / 4, kHalf, 2]: two pairs
    uint16_t* tile;           // [kTile, row]
    float* s;                 // [kTile, kLanes] or [kTile, kHalf]
    uint32_t* p;              // [kTile / 2, kLanes] or [kTile / 2, kHalf]: weights of rows 2i and 2i+1
    float* shrink;            // [kLanes]: what the tile's largest scores leave of the output so far

    Space(int64_t heads, int64_t l, int64_t r, std::byte* scratch)
        : lora(round_up(l, kWidth)), rope(round_up(r, kWidth)), row(lora + rope) {
        q = reinterpret_cast<uint32_t*>(scratch);
        tile = reinterpret_cast<uint16_t*>(q + row / 2 * round_up(heads, kLanes));
        s = reinterpret_cast<float*>(tile + kTile * row);
        p = reinterpret_cast<uint32_t*>(s + kTile * kLanes);
        shrink = reinterpret_cast<float*>(p + kTile / 2 * kLanes);
    }
    uint32_t* queries(int64_t head) const { return q + row / 2 * head; }  // head: a multiple of kLanes
};

uint64_t scratch_bytes(int64_t heads, int64_t lora, int64_t rope) {
    const Space space(heads, lora, rope, nullptr);
    return static_cast<uint64_t>((round_up(heads, kLanes) + kTile) * space.row * 2 +
                                 (kTile + kTile / 2 + 1) * kLanes * 4);
}

void copy_padded(const void* from, int64_t n, int64_t padded, uint16_t* to) {
    std::memcpy(to, from, static_cast<size_t>(n) * 2);
    std::memset(to + n, 0, static_cast<size_t>(padded - n) * 2);
}

// Queries of `heads` heads, bf16 [heads, n], to [padded / 2, kLanes]; lanes without a head are zeros.
void spread(const std::byte* from, int64_t heads, int64_t n, int64_t padded, uint32_t* to) {
    for (int64_t k = 0; k < padded; k += kWidth, to += kWidth / 2 * kLanes) {
        Bits m[kLanes];
        VKS_AVX512BF16_UNROLL
        for (int h = 0; h < kLanes; ++h) {
            m[h] = _mm512_maskz_loadu_epi16(h < heads ? first_words(n - k) : 0, from + (h * n + k) * 2);
        }
        transpose(m);
        VKS_AVX512BF16_UNROLL
        for (int i = 0; i < kLanes; ++i) _mm512_storeu_si512(to + i * kLanes, m[i]);
    }
}
// Of up to kHalf heads, to [padded / 4, kHalf, 2].
void spread_half(const std::byte* from, int64_t heads, int64_t n, int64_t padded, uint32_t* to) {
    std::memset(to, 0, static_cast<size_t>(padded / 2 * kHalf) * 4);
    for (int64_t h = 0; h < heads; ++h, from += n * 2) {
        for (int64_t k = 0; k < n; k += 4) {
            std::memcpy(to + k / 2 * kHalf + h * 2, from + k * 2, static_cast<size_t>(std::min<int64_t>(4, n - k)) * 2);
        }
    }
}

// Sums of neighbouring lanes, a's before b's.
inline F32x16 add_neighbours(F32x16 a, F32x16 b) {
    const Bits even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const Bits odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    return _mm512_add_ps(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
}

// s[j][h] = scale * q[h] . c[j] for R rows; c [R, row]. Row: that many elements, known beforehand, so that all rows are
// at a distance from one address; or 0. Half: up to kHalf heads, a head's sum in two lanes until all are added.
template <int R, int64_t Row, bool IntoL1, bool Half>
inline void score_tile(int64_t padded_row, const uint32_t* q, const uint16_t* c, float scale, float* s) {
    const int64_t row = Row != 0 ? Row : padded_row;
    F32x16 acc[R];
    VKS_AVX512BF16_UNROLL
    for (int j = 0; j < R; ++j) acc[j] = _mm512_setzero_ps();
    // The next tile's rows, where they are in place: lines for each step, since a burst of prefetches waits.
    const auto* ahead = reinterpret_cast<const char*>(c + kTile * row);
    constexpr int64_t kStep = Half ? 4 : 2;
    for (int64_t k = 0; k < row; k += kStep, q += kLanes) {
        if constexpr (R == kRows) {
            for (int64_t line = 0; line < kStep / 2; ++line)
                _mm_prefetch(ahead + k * kRows * 2 + line * 64, IntoL1 ? _MM_HINT_T0 : _MM_HINT_T1);
        }
        const Bits query = _mm512_loadu_si512(q);
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < R; ++j) {
            std::conditional_t<Half, int64_t, int32_t> values = 0;
            std::memcpy(&values, c + j * row + k, kStep * 2);
            acc[j] =
                dot2(acc[j], query, Half ? _mm512_set1_epi64(values) : _mm512_set1_epi32(static_cast<int>(values)));
        }
    }
    const F32x16 factor = _mm512_set1_ps(scale);
    if constexpr (!Half) {
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < R; ++j) _mm512_storeu_ps(s + j * kLanes, _mm512_mul_ps(acc[j], factor));
    } else if constexpr (R == 1) {  // a row that isn't there has weight 0
        const F32x16 sums = _mm512_mul_ps(add_neighbours(acc[0], acc[0]), factor);
        _mm512_storeu_ps(s,
                         _mm512_mask_blend_ps(0xff00, sums, _mm512_set1_ps(-std::numeric_limits<float>::infinity())));
    } else {
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < R; j += 2)
            _mm512_storeu_ps(s + j * kHalf, _mm512_mul_ps(add_neighbours(acc[j], acc[j + 1]), factor));
    }
}

template <int64_t Row, bool IntoL1, bool Half>
void scores(const Space& space, const uint32_t* q, const uint16_t* tile, int64_t rows, float scale) {
    int64_t j = 0;
    const auto run = [&](auto tile_of) {
        tile_of(space.row, q, tile + j * space.row, scale, space.s + j * (Half ? kHalf : kLanes));
    };
    for (; j + kRows <= rows; j += kRows) run(score_tile<kRows, Row, IntoL1, Half>);
    for (; j + 4 <= rows; j += 4) run(score_tile<4, Row, IntoL1, Half>);
    if constexpr (Half) {
        for (; j + 2 <= rows; j += 2) run(score_tile<2, Row, IntoL1, Half>);
    }
    for (; j < rows; ++j) run(score_tile<1, Row, IntoL1, Half>);
}

template <bool Half>
void scores(const Space& space, const uint32_t* q, const uint16_t* tile, int64_t rows, float scale) {
    constexpr int64_t kDeepSeek = 512 + 64;
    // Memory has time for what is asked for: several threads are no reason not to.
    const bool into_l1 = Fetch(1).into == Fetch::kL1;
    if (space.row == kDeepSeek) {
        into_l1 ? scores<kDeepSeek, true, Half>(space, q, tile, rows, scale)
                : scores<kDeepSeek, false, Half>(space, q, tile, rows, scale);
    } else {
        into_l1 ? scores<0, true, Half>(space, q, tile, rows, scale)
                : scores<0, false, Half>(space, q, tile, rows, scale);
    }
}

// e^x for x <= 0, within 1.5 ulp; 0 below -87. Cephes' expf polynomial on [-ln2/2, ln2/2].
inline F32x16 exp_negative(F32x16 x) {
    const F32x16 clamped = _mm512_max_ps(_mm512_set1_ps(-110.0f), x);
    const F32x16 n = _mm512_roundscale_ps(_mm512_mul_ps(clamped, _mm512_set1_ps(1.44269504088896341f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    F32x16 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), clamped);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    F32x16 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

// The order that brings words i and N + i of each 2 * N beside each other.
template <int N>
inline Bits pair_order() {
    alignas(64) static constexpr auto kOrder = [] {
        std::array<uint16_t, 32> order{};
        for (int i = 0; i < 32; i += 2) {
            const int first = i / (2 * N) * (2 * N) + i % (2 * N) / 2;
            order[static_cast<size_t>(i)] = static_cast<uint16_t>(first);
            order[static_cast<size_t>(i) + 1] = static_cast<uint16_t>(first + N);
        }
        return order;
    }();
    return _mm512_load_si512(kOrder.data());
}
// v with its halves exchanged, and its lower half twice.
inline F32x16 exchange_halves(F32x16 v) {
    return _mm512_shuffle_f32x4(v, v, 0x4e);
}
inline F32x16 lower_twice(F32x16 v) {
    return _mm512_shuffle_f32x4(v, v, 0x44);
}

// Scores to weights; updates the running maximum and sum, of which `fresh` ones hold nothing yet.
template <bool Half>
void softmax(const Space& space, int64_t rows, __mmask16 heads, bool fresh, float* maximum, float* sum) {
    const int64_t vectors = Half ? (rows + 1) / 2 : rows;
    F32x16 most = _mm512_loadu_ps(space.s), all = _mm512_setzero_ps();
    for (int64_t j = 1; j < vectors; ++j) most = _mm512_max_ps(most, _mm512_loadu_ps(space.s + j * kLanes));
    if constexpr (Half) most = _mm512_max_ps(most, exchange_halves(most));
    if (!fresh) {
        F32x16 before = _mm512_maskz_loadu_ps(heads, maximum);
        if constexpr (Half) before = lower_twice(before);
        most = _mm512_max_ps(most, before);
        const F32x16 shrink = exp_negative(_mm512_sub_ps(before, most));
        _mm512_storeu_ps(space.shrink, shrink);
        all = _mm512_mul_ps(_mm512_maskz_loadu_ps(heads, sum), shrink);
    }
    const Bits upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
    const auto weight = [&](int64_t j) {
        return exp_negative(_mm512_sub_ps(_mm512_loadu_ps(space.s + j * kLanes), most));
    };
    for (int64_t j = 0; j < vectors; j += 2) {
        const F32x16 even = weight(j), odd = j + 1 < vectors ? weight(j + 1) : _mm512_setzero_ps();
        const Bits p =
            _mm512_permutexvar_epi16(pair_order < Half ? kHalf : kLanes > (), (Bits)_mm512_cvtne2ps_pbh(odd, even));
        all = _mm512_add_ps(all, _mm512_castsi512_ps(_mm512_slli_epi32(p, 16)));
        all = _mm512_add_ps(all, _mm512_castsi512_ps(_mm512_and_si512(p, upper)));
        _mm512_storeu_si512(space.p + j / 2 * kLanes, p);
    }
    if constexpr (Half) all = _mm512_add_ps(all, exchange_halves(all));
    _mm512_mask_storeu_ps(maximum, heads, most);
    _mm512_mask_storeu_ps(sum, heads, all);
}

// A partial's rows hold their columns as unpacking leaves them, kColumns at a time: from each eight the first four,
// then the others. In order again: finish().
inline void in_order(const float* from, F32x16& first, F32x16& second) {
    const F32x16 a = _mm512_loadu_ps(from), b = _mm512_loadu_ps(from + 16);
    const Bits order = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    first = _mm512_permutex2var_ps(a, order, b);
    second = _mm512_permutex2var_ps(a, _mm512_add_epi32(order, _mm512_set1_epi32(8)), b);
}

// out[h] = shrink[h] * out[h] + sum_j p[j][h] c[j] for H heads by kColumns columns; p [rows / 2, p_stride], c [rows,
// stride]. No shrink: 0. later: a line of it is fetched for every two rows; or null.
template <int H>
inline void output_tile(const uint32_t* p, int64_t p_stride, const uint16_t* c, int64_t stride, int64_t rows,
                        const float* shrink, float* out, int64_t out_stride, const std::byte* later) {
    const auto* line = reinterpret_cast<const char*>(later ? static_cast<const void*>(later) : c);
    const int64_t step = later ? 64 : 0;
    F32x16 acc[H][2];
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) {
        acc[h][0] = acc[h][1] = _mm512_setzero_ps();
        if (shrink) {
            const F32x16 factor = _mm512_set1_ps(shrink[h]);
            acc[h][0] = _mm512_mul_ps(factor, _mm512_loadu_ps(out + h * out_stride));
            acc[h][1] = _mm512_mul_ps(factor, _mm512_loadu_ps(out + h * out_stride + 16));
        }
    }
    for (int64_t j = 0; j < rows; j += 2, p += p_stride, c += 2 * stride, line += step) {
        _mm_prefetch(line, _MM_HINT_T1);
        const Bits even = _mm512_loadu_si512(c);
        const Bits odd = _mm512_loadu_si512(j + 1 < rows ? c + stride : c);  // the second's weight is 0
        const Bits values[2] = {_mm512_unpacklo_epi16(even, odd), _mm512_unpackhi_epi16(even, odd)};
        VKS_AVX512BF16_UNROLL
        for (int h = 0; h < H; ++h) {
            const Bits weights = _mm512_set1_epi32(static_cast<int>(p[h]));
            acc[h][0] = dot2(acc[h][0], weights, values[0]);
            acc[h][1] = dot2(acc[h][1], weights, values[1]);
        }
    }
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) {
        _mm512_storeu_ps(out + h * out_stride, acc[h][0]);
        _mm512_storeu_ps(out + h * out_stride + 16, acc[h][1]);
    }
}

void outputs(const Space& space, const uint16_t* tile, int64_t rows, int64_t heads, bool fresh, float* out,
             int64_t stride, Later& later) {
    const int64_t p_stride = heads <= kHalf ? kHalf : kLanes;
    const auto run = [&](auto tile_of, int64_t h, int64_t c) {
        tile_of(space.p + h, p_stride, tile + c, space.row, rows, fresh ? nullptr : space.shrink + h,
                out + h * stride + c, stride, later.take((rows + 1) / 2));
    };
    for (int64_t c = 0; c < space.lora; c += kColumns) {
        int64_t h = 0;
        for (; h + kHeads <= heads; h += kHeads) run(output_tile<kHeads>, h, c);
        for (; h + 4 <= heads; h += 4) run(output_tile<4>, h, c);
        for (; h < heads; ++h) run(output_tile<1>, h, c);
    }
}

void queries(const Split& s) {
    const Space space(s.heads, s.lora, s.rope, s.scratch);
    for (int64_t h = 0; h < s.heads; h += kLanes) {
        const int64_t heads = std::min<int64_t>(kLanes, s.heads - h);
        const bool half = heads <= kHalf;
        uint32_t* q = space.queries(h);
        const auto into_place = half ? spread_half : spread;
        into_place(s.q_lat + h * s.lora * 2, heads, s.lora, space.lora, q);
        into_place(s.q_pe + h * s.rope * 2, heads, s.rope, space.rope, q + space.lora / 2 * (half ? kHalf : kLanes));
    }
}

void split(const Split& s) {
    const Space space(s.heads, s.lora, s.rope, s.scratch);
    const int64_t entry = s.lora + s.rope;
    const bool in_place = space.row == entry && space.lora == s.lora;
    const auto* cache = reinterpret_cast<const uint16_t*>(s.cache);
    for (int64_t h = 0; h < s.heads; h += kLanes) {
        const int64_t heads = std::min<int64_t>(kLanes, s.heads - h);
        for (int64_t first = 0; first < s.rows; first += kTile) {
            const int64_t rows = std::min(kTile, s.rows - first);
            const uint16_t* tile = cache + first * entry;
            if (h == 0) touch_pages(tile, rows * entry * 2);
            if (!in_place) {
                for (int64_t j = 0; j < rows; ++j) {
                    uint16_t* to = space.tile + j * space.row;
                    copy_padded(tile + j * entry, s.lora, space.lora, to);
                    copy_padded(tile + j * entry + s.lora, s.rope, space.rope, to + space.lora);
                }
                tile = space.tile;
            }
            const auto weigh = [&](auto half) {
                scores<half>(space, space.queries(h), tile, rows, s.scale);
                softmax<half>(space, rows, first_floats(heads), first == 0, s.to.maximum + h, s.to.sum + h);
            };
            heads <= kHalf ? weigh(std::true_type()) : weigh(std::false_type());
            outputs(space, tile, rows, heads, first == 0, s.to.out + h * s.to.stride, s.to.stride, *s.later);
        }
    }
}

void merge(const Partial& into, const Partial& from, int64_t heads) {
    for (int64_t h = 0; h < heads; ++h) {
        const float most = std::max(into.maximum[h], from.maximum[h]);
        const F32x16 keep = exp_negative(_mm512_set1_ps(into.maximum[h] - most));
        const F32x16 add = exp_negative(_mm512_set1_ps(from.maximum[h] - most));
        into.maximum[h] = most;
        into.sum[h] = into.sum[h] * _mm512_cvtss_f32(keep) + from.sum[h] * _mm512_cvtss_f32(add);
        float* to = into.out + h * into.stride;
        const float* out = from.out + h * from.stride;
        for (int64_t c = 0; c < into.stride; c += 16) {
            const F32x16 kept = _mm512_mul_ps(_mm512_loadu_ps(to + c), keep);
            _mm512_storeu_ps(to + c, _mm512_fmadd_ps(_mm512_loadu_ps(out + c), add, kept));
        }
    }
}

void finish(const Partial& from, int64_t heads, int64_t lora, uint32_t dtype, std::byte* o) {
    const int64_t bytes = dtype == VKS_F32 ? 4 : 2;
    for (int64_t h = 0; h < heads; ++h, o += lora * bytes) {
        const F32x16 factor = _mm512_set1_ps(1.0f / from.sum[h]);
        for (int64_t c = 0; c < lora; c += kColumns) {
            F32x16 v[2];
            in_order(from.out + h * from.stride + c, v[0], v[1]);
            for (int64_t i = 0; i < 2 && c + 16 * i < lora; ++i) {
                const int64_t at = c + 16 * i;
                const __mmask16 mask = first_floats(lora - at);
                const F32x16 scaled = _mm512_mul_ps(v[i], factor);
                if (dtype == VKS_F32) {
                    _mm512_mask_storeu_ps(o + at * 4, mask, scaled);
                } else {
                    _mm256_mask_storeu_epi16(o + at * 2, mask, round_to_bf16(scaled));
                }
            }
        }
    }
}

constexpr AttentionKernels kKernels = {kWidth, kLanes, scratch_bytes, queries, split, merge, finish};

VKS_AVX512BF16_END

const AttentionKernels* kernels() {
    return has_avx512bf16() ? &kKernels : nullptr;
}

#else

const AttentionKernels* kernels() {
    return nullptr;
}

#endif  // VKS_AVX512BF16

enum { kQLat, kQPe, kCache };

bool usable(const Signature& s) {
    for (size_t arg : {kQLat, kQPe, kCache}) {
        if (s.args[arg].dtype != VKS_BF16) return false;
    }
    return kernels() != nullptr;
}
uint64_t scratch(const Signature& s) {
    return attention_scratch(*kernels(), s);  // cppcheck-suppress nullPointer ; usable() has asked
}
void run(const Call& call) {
    attention(*kernels(), call);  // cppcheck-suppress nullPointer ; usable() has asked
}

}  // namespace
}  // namespace vks::cpu::simd

namespace vks::cpu {

constinit const Variant avx512bf16_mla_attention = {"avx512bf16", nullptr, simd::usable, simd::scratch, simd::run};

}  // namespace vks::cpu
