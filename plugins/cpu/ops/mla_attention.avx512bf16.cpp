// mla_attention/1 on AVX512_BF16: bf16 queries and cache. Scores are bf16 dot products; weights are rounded to bf16 and
// multiply pairs of cache rows at once (the sum that divides is of the rounded ones). All heads share a tile.
// Bound: 2 * heads * (2 * lora + rope) operations a cache row, reached before its bytes from some ten heads on.
#include <algorithm>
#include <cstring>
#include <limits>

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

// Register tiles: heads by cache rows, heads by vectors of 16 columns of the output.
constexpr int kHeads = 4, kRows = 4, kVectors = 4;
constexpr int64_t kColumns = 16 * kVectors, kPairs = kTile / 2;

constexpr int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

// A row, of a query or of the cache, is lora and rope, each padded with zeros.
struct Space {
    int64_t lora, rope, row;  // padded
    uint16_t* q;              // [heads, row]
    uint16_t* tile;           // [kTile, row]
    uint32_t* pairs;          // [kPairs, lora]: rows 2i and 2i+1, column by column
    float* s;                 // [heads, kTile]
    uint32_t* p;              // [heads, kPairs]: weights of rows 2i and 2i+1
    float* shrink;            // [heads]

    Space(int64_t heads, int64_t l, int64_t r, std::byte* scratch)
        : lora(round_up(l, kColumns)), rope(round_up(r, kWidth)), row(lora + rope) {
        q = reinterpret_cast<uint16_t*>(scratch);
        tile = q + heads * row;
        pairs = reinterpret_cast<uint32_t*>(tile + kTile * row);
        s = reinterpret_cast<float*>(pairs + kPairs * lora);
        p = reinterpret_cast<uint32_t*>(s + heads * kTile);
        shrink = reinterpret_cast<float*>(p + heads * kPairs);
    }
};

uint64_t scratch_bytes(int64_t heads, int64_t lora, int64_t rope) {
    const Space space(heads, lora, rope, nullptr);
    return static_cast<uint64_t>((heads + kTile) * space.row * 2 + kPairs * space.lora * 4 +
                                 heads * (kTile * 4 + kPairs * 4 + 4));
}

void copy_padded(const void* from, int64_t n, int64_t padded, uint16_t* to) {
    std::memcpy(to, from, static_cast<size_t>(n) * 2);
    std::memset(to + n, 0, static_cast<size_t>(padded - n) * 2);
}

// s[h][j] = scale * q[h] . c[j] for a tile of H heads by kRows rows.
template <int H>
inline void score_tile(const Space& space, const uint16_t* q, const uint16_t* const (&c)[kRows], float scale,
                       float* s) {
    F32x16 acc[H][kRows];
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) {
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < kRows; ++j) acc[h][j] = _mm512_setzero_ps();
    }
    for (int64_t k = 0; k < space.row; k += kWidth) {
        Bits rows[kRows];
        VKS_AVX512BF16_UNROLL
        for (int j = 0; j < kRows; ++j) rows[j] = _mm512_loadu_si512(c[j] + k);
        VKS_AVX512BF16_UNROLL
        for (int h = 0; h < H; ++h) {
            const Bits query = _mm512_loadu_si512(q + h * space.row + k);
            VKS_AVX512BF16_UNROLL
            for (int j = 0; j < kRows; ++j) acc[h][j] = dot2(acc[h][j], query, rows[j]);
        }
    }
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) {
        _mm_storeu_ps(s + h * kTile, _mm_mul_ps(sums(acc[h][0], acc[h][1], acc[h][2], acc[h][3]), _mm_set1_ps(scale)));
    }
}

void scores(const Split& s, const Space& space, const uint16_t* tile, int64_t rows) {
    for (int64_t j = 0; j < rows; j += kRows) {
        const uint16_t* c[kRows];
        const uint16_t* next = tile + (j + kTile) * space.row;  // of the next tile, where it is in place
        for (int64_t i = 0; i < kRows * space.row; i += kWidth) {
            _mm_prefetch(reinterpret_cast<const char*>(next + i), _MM_HINT_T1);
        }
        for (int i = 0; i < kRows; ++i) c[i] = tile + std::min(j + i, rows - 1) * space.row;
        int64_t h = 0;
        for (; h + kHeads <= s.heads; h += kHeads) {
            score_tile<kHeads>(space, space.q + h * space.row, c, s.scale, space.s + h * kTile + j);
        }
        for (; h < s.heads; ++h) score_tile<1>(space, space.q + h * space.row, c, s.scale, space.s + h * kTile + j);
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
inline float exp_negative(float x) {
    return _mm512_cvtss_f32(exp_negative(_mm512_set1_ps(x)));
}

inline float total(F32x16 v) {
    const F32x16 zero = _mm512_setzero_ps();
    return _mm_cvtss_f32(sums(v, zero, zero, zero));
}

// Scores of a tile to weights; updates the running maximum and sum.
void softmax(const Split& s, const Space& space, int64_t rows, bool fresh) {
    constexpr float kNone = -std::numeric_limits<float>::infinity();
    for (int64_t h = 0; h < s.heads; ++h) {
        float* scores = space.s + h * kTile;
        auto* p = reinterpret_cast<std::byte*>(space.p + h * kPairs);
        std::fill(scores + rows, scores + kTile, kNone);
        F32x16 most = _mm512_loadu_ps(scores);
        for (int64_t j = 16; j < kTile; j += 16) most = _mm512_max_ps(most, _mm512_loadu_ps(scores + j));
        const float before = fresh ? kNone : s.to.maximum[h];
        const float now = std::max(before, _mm512_reduce_max_ps(most));
        F32x16 sum = _mm512_setzero_ps();
        for (int64_t j = 0; j < kTile; j += 16) {
            const F32x16 weight = exp_negative(_mm512_sub_ps(_mm512_loadu_ps(scores + j), _mm512_set1_ps(now)));
            const __m256i rounded = round_to_bf16(weight);
            sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16)));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 2 * j), rounded);
        }
        space.shrink[h] = fresh ? 0.0f : exp_negative(before - now);
        s.to.maximum[h] = now;
        s.to.sum[h] = (fresh ? 0.0f : s.to.sum[h] * space.shrink[h]) + total(sum);
    }
}

// Columns of rows 2i and 2i+1 side by side; the row after an odd last one is zeros.
void pair_up(const Space& space, const uint16_t* tile, int64_t rows) {
    const Bits low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
                                      36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const Bits high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (int64_t j = 0; j < rows; j += 2) {
        const uint16_t* a = tile + j * space.row;
        uint32_t* to = space.pairs + j / 2 * space.lora;
        for (int64_t c = 0; c < space.lora; c += kWidth) {
            const Bits upper = _mm512_loadu_si512(a + c);
            const Bits lower = j + 1 < rows ? _mm512_loadu_si512(a + space.row + c) : _mm512_setzero_si512();
            _mm512_storeu_si512(to + c, _mm512_permutex2var_epi16(upper, low, lower));
            _mm512_storeu_si512(to + c + 16, _mm512_permutex2var_epi16(upper, high, lower));
        }
    }
}

// out[h] = out[h] * shrink[h] + sum_i p[h][i] c[i] for H heads by kColumns columns; c [pairs, stride].
template <int H>
inline void output_tile(const uint32_t* p, const float* shrink, const uint32_t* c, int64_t c_stride, int64_t pairs,
                        float* out, int64_t out_stride, bool fresh) {
    F32x16 acc[H][kVectors];
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) {
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < kVectors; ++v) {
            acc[h][v] = fresh
                            ? _mm512_setzero_ps()
                            : _mm512_mul_ps(_mm512_loadu_ps(out + h * out_stride + 16 * v), _mm512_set1_ps(shrink[h]));
        }
    }
    for (int64_t i = 0; i < pairs; ++i, c += c_stride) {
        Bits row[kVectors];
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < kVectors; ++v) row[v] = _mm512_loadu_si512(c + 16 * v);
        VKS_AVX512BF16_UNROLL
        for (int h = 0; h < H; ++h) {
            const Bits weight = _mm512_set1_epi32(static_cast<int>(p[h * kPairs + i]));
            VKS_AVX512BF16_UNROLL
            for (int v = 0; v < kVectors; ++v) acc[h][v] = dot2(acc[h][v], weight, row[v]);
        }
    }
    VKS_AVX512BF16_UNROLL
    for (int h = 0; h < H; ++h) {
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(out + h * out_stride + 16 * v, acc[h][v]);
    }
}

void outputs(const Split& s, const Space& space, int64_t rows, bool fresh) {
    const int64_t pairs = (rows + 1) / 2;
    for (int64_t c = 0; c < space.lora; c += kColumns) {
        int64_t h = 0;
        for (; h + kHeads <= s.heads; h += kHeads) {
            output_tile<kHeads>(space.p + h * kPairs, space.shrink + h, space.pairs + c, space.lora, pairs,
                                s.to.out + h * s.to.stride + c, s.to.stride, fresh);
        }
        for (; h < s.heads; ++h) {
            output_tile<1>(space.p + h * kPairs, space.shrink + h, space.pairs + c, space.lora, pairs,
                           s.to.out + h * s.to.stride + c, s.to.stride, fresh);
        }
    }
}

void split(const Split& s) {
    const Space space(s.heads, s.lora, s.rope, s.scratch);
    for (int64_t h = 0; h < s.heads; ++h) {
        copy_padded(s.q_lat + h * s.lora * 2, s.lora, space.lora, space.q + h * space.row);
        copy_padded(s.q_pe + h * s.rope * 2, s.rope, space.rope, space.q + h * space.row + space.lora);
    }
    const int64_t entry = s.lora + s.rope;
    touch_pages(s.cache, s.rows * entry * 2);
    const bool in_place = space.row == entry && space.lora == s.lora;
    for (int64_t first = 0; first < s.rows; first += kTile) {
        const int64_t rows = std::min(kTile, s.rows - first);
        const auto* tile = reinterpret_cast<const uint16_t*>(s.cache) + first * entry;
        if (!in_place) {
            for (int64_t j = 0; j < rows; ++j) {
                uint16_t* to = space.tile + j * space.row;
                copy_padded(tile + j * entry, s.lora, space.lora, to);
                copy_padded(tile + j * entry + s.lora, s.rope, space.rope, to + space.lora);
            }
            tile = space.tile;
        }
        scores(s, space, tile, rows);
        softmax(s, space, rows, first == 0);
        pair_up(space, tile, rows);
        outputs(s, space, rows, first == 0);
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

constexpr AttentionKernels kKernels = {kColumns, scratch_bytes, split, merge, finish};

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
