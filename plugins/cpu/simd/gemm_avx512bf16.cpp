// Matrix-product kernels on vdpbf16ps: each instruction adds 16 sums of two bf16 products to f32 accumulators. Weights
// in e4m3 become bf16 through byte tables in registers (vpermi2b), exactly; a block of 128 gives a partial sum, and
// acc = fma(partial, w_scale * x_scale, acc).
//
// Few rows of x (`direct`) stream w, a vector's lanes along k; many (`block`) meet w packed, lanes along outputs: the
// two add in different orders. Measured by `bench ops`, 512 rows of x, one Zen 4 core (236 GFLOP/s): 203 to 212, with x
// in e4m3 195 to 208.
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
constexpr int kWTile = 16;
// Rows of x that meet a block of w while it is in L1: with their sums they leave room for it.
constexpr int kXBlock = 24;

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

template <class T>
void pack_row(const RowRef& row, int64_t k, uint16_t* to) {
    const Decoder decoder;
    const T* from = static_cast<const T*>(row.data);
    for (int64_t i = 0; i < k; i += kGranule, to += kGranule) {
        Pair v = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        if (from) v = load_pair(from + i, k - i, decoder);
        _mm512_store_si512(to, v.first);
        _mm512_store_si512(to + kWidth, v.second);
    }
}

// Rows one after the other.
void pack_x(uint32_t dtype, const RowRef* rows, int count, int64_t k, void* to) {
    auto* out = static_cast<uint16_t*>(to);
    for (int i = 0; i < count; ++i, out += padded(k)) {
        dtype == VKS_BF16 ? pack_row<Bf16>(rows[i], k, out) : pack_row<F8>(rows[i], k, out);
    }
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

#include "plugins/cpu/simd/avx512bf16_block-inl.h"

template <class W>
constexpr GemmKernels kKernels = {
    .element = 2,
    .granule = kGranule,
    .x_tile = 1,
    .w_tile = kWTile,
    .x_block = kXBlock,
    .direct_rows = kMaxDirect,
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
