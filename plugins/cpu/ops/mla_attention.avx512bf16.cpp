// mla_attention/1 on AVX512_BF16: bf16 queries and cache. Scores are bf16 dot products of 16 heads at once with a pair
// of a row's values; weights are rounded to bf16 and multiply pairs of rows at once (the sum that divides is of the
// rounded ones). Bound: 2 * heads * (2 * lora + rope) operations a cache row, reached before its bytes from some ten
// heads on. In L2, one Zen 4 core (236 GFLOP/s): scores 234, outputs 206, with softmax 209.
#include <algorithm>
#include <cstring>

#include "plugins/cpu/numeric.h"
#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/attention.h"
#include "plugins/cpu/simd/avx512bf16.h"
#include "plugins/cpu/simd/pages.h"

namespace vks::cpu::simd {
namespace {

#if VKS_AVX512BF16
VKS_AVX512BF16_BEGIN

#include "plugins/cpu/simd/avx512bf16-inl.h"

// A vector holds a score of each of so many heads: nothing is ever summed across lanes.
constexpr int kLanes = 16;
// Register tiles: cache rows by kLanes heads for the scores, heads by kColumns columns for the output.
constexpr int kRows = 16, kHeads = 16;
constexpr int64_t kColumns = 16;
// Rows whose scores are formed before their weights: the more, the less often the output's sums are loaded.
constexpr int64_t kTile = 128;

constexpr int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

// A row, of a query or of the cache, is lora and rope, each padded with zeros.
struct Space {
    int64_t lora, rope, row;  // padded
    uint32_t* q;              // [heads / kLanes, row / 2, kLanes]: a pair of neighbours of each head's query
    uint16_t* tile;           // [kTile, row]
    float* s;                 // [kTile, kLanes]
    uint32_t* p;              // [kTile / 2, kLanes]: weights of rows 2i and 2i+1
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

// s[j][h] = scale * q[h] . c[j] for R rows; c [R, row]. Row: that many elements, known beforehand, so that all rows are
// at a distance from one address; or 0.
template <int R, int64_t Row, bool IntoL1>
inline void score_tile(int64_t padded_row, const uint32_t* q, const uint16_t* c, float scale, float* s) {
    const int64_t row = Row != 0 ? Row : padded_row;
    F32x16 acc[R];
    VKS_AVX512BF16_UNROLL
    for (int j = 0; j < R; ++j) acc[j] = _mm512_setzero_ps();
    // The next tile's rows, where they are in place: a line for each step, since a burst of prefetches waits.
    const auto* ahead = reinterpret_cast<const char*>(c + kTile * row);
    for (int64_t k = 0; k < row; k += 2, q += kLanes) {
        if constexpr (R == kRows) _mm_prefetch(ahead + k * kRows * 2, IntoL1 ? _MM_HINT_T0 : _MM_HINT_T1);
        const Bits query = _mm512_loadu_si512(q);
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < R; ++j) {
            int32_t pair = 0;
            std::memcpy(&pair, c + j * row + k, 4);
            acc[j] = dot2(acc[j], query, _mm512_set1_epi32(pair));
        }
    }
    VKS_AVX512BF16_UNROLL
    for (int j = 0; j < R; ++j) _mm512_storeu_ps(s + j * kLanes, _mm512_mul_ps(acc[j], _mm512_set1_ps(scale)));
}

template <int64_t Row, bool IntoL1>
void scores(const Space& space, const uint32_t* q, const uint16_t* tile, int64_t rows, float scale) {
    int64_t j = 0;
    const auto run = [&](auto tile_of) { tile_of(space.row, q, tile + j * space.row, scale, space.s + j * kLanes); };
    for (; j + kRows <= rows; j += kRows) run(score_tile<kRows, Row, IntoL1>);
    for (; j + 4 <= rows; j += 4) run(score_tile<4, Row, IntoL1>);
    for (; j < rows; ++j) run(score_tile<1, Row, IntoL1>);
}

void scores(const Space& space, const uint32_t* q, const uint16_t* tile, int64_t rows, float scale) {
    constexpr int64_t kDeepSeek = 512 + 64;
    // Memory has time for what is asked for: several threads are no reason not to.
    const bool into_l1 = Fetch(1).into == Fetch::kL1;
    if (space.row == kDeepSeek) {
        into_l1 ? scores<kDeepSeek, true>(space, q, tile, rows, scale)
                : scores<kDeepSeek, false>(space, q, tile, rows, scale);
    } else {
        into_l1 ? scores<0, true>(space, q, tile, rows, scale) : scores<0, false>(space, q, tile, rows, scale);
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

// Words i and 16 + i beside each other.
inline Bits pair_order() {
    return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                            19, 3, 18, 2, 17, 1, 16, 0);
}

// Scores to weights; updates the running maximum and sum, of which `fresh` ones hold nothing yet.
void softmax(const Space& space, int64_t rows, __mmask16 heads, bool fresh, float* maximum, float* sum) {
    F32x16 most = _mm512_loadu_ps(space.s), all = _mm512_setzero_ps();
    for (int64_t j = 1; j < rows; ++j) most = _mm512_max_ps(most, _mm512_loadu_ps(space.s + j * kLanes));
    if (!fresh) {
        const F32x16 before = _mm512_maskz_loadu_ps(heads, maximum);
        most = _mm512_max_ps(most, before);
        const F32x16 shrink = exp_negative(_mm512_sub_ps(before, most));
        _mm512_storeu_ps(space.shrink, shrink);
        all = _mm512_mul_ps(_mm512_maskz_loadu_ps(heads, sum), shrink);
    }
    const Bits upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
    const auto weight = [&](int64_t j) {
        return exp_negative(_mm512_sub_ps(_mm512_loadu_ps(space.s + j * kLanes), most));
    };
    for (int64_t j = 0; j < rows; j += 2) {
        const F32x16 even = weight(j), odd = j + 1 < rows ? weight(j + 1) : _mm512_setzero_ps();
        const Bits p = _mm512_permutexvar_epi16(pair_order(), (Bits)_mm512_cvtne2ps_pbh(odd, even));
        all = _mm512_add_ps(all, _mm512_castsi512_ps(_mm512_slli_epi32(p, 16)));
        all = _mm512_add_ps(all, _mm512_castsi512_ps(_mm512_and_si512(p, upper)));
        _mm512_storeu_si512(space.p + j / 2 * kLanes, p);
    }
    _mm512_mask_storeu_ps(maximum, heads, most);
    _mm512_mask_storeu_ps(sum, heads, all);
}

// out[h] = shrink[h] * out[h] + sum_j p[j][h] c[j] for H heads by kColumns columns; c [rows, stride]. No shrink: 0.
// later: a line of it is fetched for every two rows; or null.
template <int H>
inline void output_tile(const uint32_t* p, const uint16_t* c, int64_t stride, int64_t rows, const float* shrink,
                        float* out, int64_t out_stride, const std::byte* later) {
    const auto* line = reinterpret_cast<const char*>(later ? static_cast<const void*>(later) : c);
    const int64_t step = later ? 64 : 0;
    const Bits order = pair_order();
    F32x16 acc[H];
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) {
        acc[h] = _mm512_setzero_ps();
        if (shrink) acc[h] = _mm512_mul_ps(_mm512_set1_ps(shrink[h]), _mm512_loadu_ps(out + h * out_stride));
    }
    for (int64_t j = 0; j < rows; j += 2, p += kLanes, c += 2 * stride, line += step) {
        _mm_prefetch(line, _MM_HINT_T1);
        const uint16_t* lower = j + 1 < rows ? c + stride : c;  // its weight is 0
        const Bits both = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i*)c)),
                                             _mm256_loadu_si256((const __m256i*)lower), 1);
        const Bits values = _mm512_permutexvar_epi16(order, both);
        VKS_AVX512BF16_UNROLL
        for (int h = 0; h < H; ++h) acc[h] = dot2(acc[h], _mm512_set1_epi32(static_cast<int>(p[h])), values);
    }
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) _mm512_storeu_ps(out + h * out_stride, acc[h]);
}

void outputs(const Space& space, const uint16_t* tile, int64_t rows, int64_t heads, bool fresh, float* out,
             int64_t stride, Later& later) {
    const auto run = [&](auto tile_of, int64_t h, int64_t c) {
        tile_of(space.p + h, tile + c, space.row, rows, fresh ? nullptr : space.shrink + h, out + h * stride + c,
                stride, later.take((rows + 1) / 2));
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
        uint32_t* q = space.queries(h);
        spread(s.q_lat + h * s.lora * 2, heads, s.lora, space.lora, q);
        spread(s.q_pe + h * s.rope * 2, heads, s.rope, space.rope, q + space.lora / 2 * kLanes);
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
            scores(space, space.queries(h), tile, rows, s.scale);
            softmax(space, rows, first_floats(heads), first == 0, s.to.maximum + h, s.to.sum + h);
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
        for (int64_t c = 0; c < lora; c += 16) {
            const __mmask16 mask = first_floats(lora - c);
            const F32x16 v = _mm512_mul_ps(_mm512_loadu_ps(from.out + h * from.stride + c), factor);
            if (dtype == VKS_F32) {
                _mm512_mask_storeu_ps(o + c * 4, mask, v);
            } else {
                _mm256_mask_storeu_epi16(o + c * 2, mask, round_to_bf16(v));
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
