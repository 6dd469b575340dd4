// mla_attention/1 in f32 arithmetic by Highway. Per tile of cache rows: scores as dot products along lora and rope, the
// softmax along the tile, then the weighted sum of the rows' latent parts along lora. All heads share a tile.
// Bound: 2 * heads * (2 * lora + rope) operations a cache row, reached before its bytes from a few heads on.
#include "plugins/cpu/simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "plugins/cpu/ops/mla_attention.simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "plugins/cpu/ops/variants.h"
#include "plugins/cpu/simd/attention.h"
#include "plugins/cpu/simd/vec-inl.h"
#include "plugins/cpu/sizes.h"

HWY_BEFORE_NAMESPACE();
namespace vks::cpu::simd::HWY_NAMESPACE {
namespace {
#if VKS_SIMD

constexpr auto kVec = static_cast<int64_t>(kLanes);
// Register tiles: heads by cache rows, heads by vectors of the output.
constexpr int kHeads = HWY_TARGET == HWY_AVX2 ? 2 : 4, kRows = 4, kVectors = 4;
constexpr int64_t kColumns = kVectors * kVec;
constexpr int64_t kTile = 64;     // cache rows
constexpr int64_t kTogether = 8;  // heads that aren't separated: two register tiles or more
static_assert(kTile % kVec == 0 && kTile % kRows == 0);

// A row, of a query or of the cache, is lora and rope, each padded with zeros.
struct Space {
    int64_t lora, rope, row;  // padded
    float* q;                 // [heads, row]
    float* tile;              // [kTile, row]
    float* p;                 // [heads, kTile]: scores, then weights
    float* shrink;            // [heads]

    Space(int64_t heads, int64_t l, int64_t r, std::byte* scratch)
        : lora(round_up(l, kColumns)), rope(round_up(r, kVec)), row(lora + rope) {
        q = reinterpret_cast<float*>(scratch);
        tile = q + heads * row;
        p = tile + kTile * row;
        shrink = p + heads * kTile;
    }
};

uint64_t scratch_bytes(int64_t heads, int64_t lora, int64_t rope) {
    const Space space(heads, lora, rope, nullptr);
    return static_cast<uint64_t>((heads + kTile) * space.row + heads * (kTile + 1)) * sizeof(float);
}

template <class T>
void copy_padded(const T* from, int64_t n, int64_t padded, float* to) {
    for_vectors(static_cast<size_t>(n), [&](auto v) HWY_ATTR { store(v(from), to + v.first); });
    for (int64_t i = round_up(n, kVec); i < padded; i += kVec) store(hn::Zero(D()), to + i);
}
void copy_any(uint32_t dtype, const std::byte* from, int64_t first, int64_t n, int64_t padded, float* to) {
    if (dtype == VKS_F32) {
        copy_padded(reinterpret_cast<const float*>(from) + first, n, padded, to);
    } else {
        copy_padded(reinterpret_cast<const Bf16*>(from) + first, n, padded, to);
    }
}

// p[h][j] = scale * q[h] . c[j] for a tile of H heads by kRows rows.
template <int H>
HWY_INLINE void score_tile(const Space& space, const float* q, const float* const (&c)[kRows], float scale, float* p) {
    V acc[H][kRows];
    VKS_UNROLL
    for (int h = 0; h < H; ++h) {
        VKS_UNROLL
        for (int j = 0; j < kRows; ++j) acc[h][j] = hn::Zero(D());
    }
    for (int64_t k = 0; k < space.row; k += kVec) {
        V rows[kRows];
        VKS_UNROLL
        for (int j = 0; j < kRows; ++j) rows[j] = load(c[j] + k);
        VKS_UNROLL
        for (int h = 0; h < H; ++h) {
            const V query = load(q + h * space.row + k);
            VKS_UNROLL
            for (int j = 0; j < kRows; ++j) acc[h][j] = hn::MulAdd(query, rows[j], acc[h][j]);
        }
    }
    VKS_UNROLL
    for (int h = 0; h < H; ++h) {
        const Sum4 s = sums(acc[h][0], acc[h][1], acc[h][2], acc[h][3]);
        hn::StoreU(hn::Mul(s, hn::Set(D4(), scale)), D4(), p + h * kTile);
    }
}

void scores(const Split& s, const Space& space, const float* tile, int64_t stride, int64_t rows) {
    for (int64_t j = 0; j < rows; j += kRows) {
        const float* c[kRows];
        for (int i = 0; i < kRows; ++i) c[i] = tile + std::min(j + i, rows - 1) * stride;
        int64_t h = 0;
        for (; h + kHeads <= s.heads; h += kHeads) {
            score_tile<kHeads>(space, space.q + h * space.row, c, s.scale, space.p + h * kTile + j);
        }
        for (; h < s.heads; ++h) score_tile<1>(space, space.q + h * space.row, c, s.scale, space.p + h * kTile + j);
    }
}

// Scores of a tile to weights; updates the running maximum and sum.
void softmax(const Split& s, const Space& space, int64_t rows, bool fresh) {
    for (int64_t h = 0; h < s.heads; ++h) {
        float* p = space.p + h * kTile;
        std::fill(p + rows, p + kTile, -std::numeric_limits<float>::infinity());
        V most = load(p);
        for (int64_t j = kVec; j < kTile; j += kVec) most = hn::Max(most, load(p + j));
        const float before = fresh ? -std::numeric_limits<float>::infinity() : s.to.maximum[h];
        const float now = std::max(before, maximum(most));
        const V shift = hn::Set(D(), now);
        V total = hn::Zero(D());
        for (int64_t j = 0; j < kTile; j += kVec) {
            const V weight = exp(hn::Sub(load(p + j), shift));
            total = hn::Add(total, weight);
            store(weight, p + j);
        }
        space.shrink[h] = fresh ? 0.0f : hn::GetLane(exp(hn::Set(D(), before - now)));
        s.to.maximum[h] = now;
        s.to.sum[h] = (fresh ? 0.0f : s.to.sum[h] * space.shrink[h]) + sum(total);
    }
}

// out[h] = out[h] * shrink[h] + sum_j p[h][j] c[j] for H heads by kColumns columns.
template <int H>
HWY_INLINE void output_tile(const float* p, const float* shrink, const float* c, int64_t c_stride, int64_t rows,
                            float* out, int64_t out_stride, bool fresh) {
    V acc[H][kVectors];
    VKS_UNROLL
    for (int h = 0; h < H; ++h) {
        VKS_UNROLL
        for (int v = 0; v < kVectors; ++v) {
            acc[h][v] = fresh ? hn::Zero(D()) : hn::Mul(load(out + h * out_stride + v * kVec), hn::Set(D(), shrink[h]));
        }
    }
    for (int64_t j = 0; j < rows; ++j, c += c_stride) {
        V row[kVectors];
        VKS_UNROLL
        for (int v = 0; v < kVectors; ++v) row[v] = load(c + v * kVec);
        VKS_UNROLL
        for (int h = 0; h < H; ++h) {
            const V weight = hn::Set(D(), p[h * kTile + j]);
            VKS_UNROLL
            for (int v = 0; v < kVectors; ++v) acc[h][v] = hn::MulAdd(weight, row[v], acc[h][v]);
        }
    }
    VKS_UNROLL
    for (int h = 0; h < H; ++h) {
        VKS_UNROLL
        for (int v = 0; v < kVectors; ++v) store(acc[h][v], out + h * out_stride + v * kVec);
    }
}

void outputs(const Split& s, const Space& space, const float* tile, int64_t stride, int64_t rows, bool fresh) {
    for (int64_t c = 0; c < space.lora; c += kColumns) {
        int64_t h = 0;
        for (; h + kHeads <= s.heads; h += kHeads) {
            output_tile<kHeads>(space.p + h * kTile, space.shrink + h, tile + c, stride, rows,
                                s.to.out + h * s.to.stride + c, s.to.stride, fresh);
        }
        for (; h < s.heads; ++h) {
            output_tile<1>(space.p + h * kTile, space.shrink + h, tile + c, stride, rows,
                           s.to.out + h * s.to.stride + c, s.to.stride, fresh);
        }
    }
}

void queries(const Split& s) {
    const Space space(s.heads, s.lora, s.rope, s.scratch);
    for (int64_t h = 0; h < s.heads; ++h) {
        float* q = space.q + h * space.row;
        copy_any(s.q_lat_dtype, s.q_lat, h * s.lora, s.lora, space.lora, q);
        copy_any(s.q_pe_dtype, s.q_pe, h * s.rope, s.rope, space.rope, q + space.lora);
    }
}

void split(const Split& s) {
    const Space space(s.heads, s.lora, s.rope, s.scratch);
    const int64_t entry = s.lora + s.rope;
    const bool in_place = s.cache_dtype == VKS_F32 && space.row == entry && space.lora == s.lora;
    for (int64_t first = 0; first < s.rows; first += kTile) {
        const int64_t rows = std::min(kTile, s.rows - first);
        const float* tile = space.tile;
        if (in_place) {
            tile = reinterpret_cast<const float*>(s.cache) + first * entry;
        } else {
            for (int64_t j = 0; j < rows; ++j) {
                float* to = space.tile + j * space.row;
                copy_any(s.cache_dtype, s.cache, (first + j) * entry, s.lora, space.lora, to);
                copy_any(s.cache_dtype, s.cache, (first + j) * entry + s.lora, s.rope, space.rope, to + space.lora);
            }
        }
        scores(s, space, tile, space.row, rows);
        softmax(s, space, rows, first == 0);
        outputs(s, space, tile, space.row, rows, first == 0);
    }
}

void merge(const Partial& into, const Partial& from, int64_t heads) {
    for (int64_t h = 0; h < heads; ++h) {
        const float most = std::max(into.maximum[h], from.maximum[h]);
        const V keep = exp(hn::Set(D(), into.maximum[h] - most)), add = exp(hn::Set(D(), from.maximum[h] - most));
        into.maximum[h] = most;
        into.sum[h] = hn::GetLane(hn::MulAdd(hn::Set(D(), from.sum[h]), add, hn::Mul(hn::Set(D(), into.sum[h]), keep)));
        float* to = into.out + h * into.stride;
        const float* out = from.out + h * from.stride;
        for (int64_t c = 0; c < into.stride; c += kVec) {
            store(hn::MulAdd(load(out + c), add, hn::Mul(load(to + c), keep)), to + c);
        }
    }
}

template <class O>
void finish_rows(const Partial& from, int64_t heads, int64_t lora, O* o) {
    for (int64_t h = 0; h < heads; ++h, o += lora) {
        const V factor = hn::Set(D(), 1.0f / from.sum[h]);
        const float* out = from.out + h * from.stride;
        for_vectors(static_cast<size_t>(lora),
                    [&](auto v) HWY_ATTR { v.put(hn::Mul(load(out + v.first), factor), o); });
    }
}

void finish(const Partial& from, int64_t heads, int64_t lora, uint32_t dtype, std::byte* o) {
    if (dtype == VKS_F32) {
        finish_rows(from, heads, lora, reinterpret_cast<float*>(o));
    } else {
        finish_rows(from, heads, lora, reinterpret_cast<Bf16*>(o));
    }
}

constexpr AttentionKernels kKernels = {kColumns, kTogether, scratch_bytes, queries, split, merge, finish};

const AttentionKernels* kernels() {
    return &kKernels;
}

#else
const AttentionKernels* kernels() {
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

HWY_EXPORT(kernels);

uint64_t scratch(const Signature& s) {
    return attention_scratch(*HWY_DYNAMIC_DISPATCH(kernels)(), s);
}
void run(const Call& call) {
    attention(*HWY_DYNAMIC_DISPATCH(kernels)(), call);
}

}  // namespace
}  // namespace simd

constinit const Variant simd_mla_attention = {nullptr, simd::target, simd::has_target, simd::scratch, simd::run};

}  // namespace vks::cpu
#endif  // HWY_ONCE
