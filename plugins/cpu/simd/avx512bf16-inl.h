// Vectors of 32 bf16 and the e4m3 decoder. For files that use avx512bf16.h; between its BEGIN and END only.

using F32x16 = __m512;
using Bits = __m512i;  // 32 bf16, 64 codes, ...

constexpr int kWidth = 32;  // bf16 in a vector

struct DecodeTables {
    alignas(64) uint8_t low[128];
    alignas(64) uint8_t high[128];
};
// The two bytes of the bf16 of every non-negative e4m3 code. All are exact and normal, or 0 or NaN.
constexpr DecodeTables kDecode = [] {
    DecodeTables t{};
    for (uint32_t code = 0; code < 128; ++code) {
        const uint16_t bits = to_bf16(decode_f8(code)).bits;
        t.low[code] = static_cast<uint8_t>(bits & 0xff);
        t.high[code] = static_cast<uint8_t>(bits >> 8);
    }
    return t;
}();

// 128-byte lookups (vpermi2b) of both bytes. Kept in four registers.
struct Decoder {
    Bits low0, low1, high0, high1, sign;

    Decoder()
        : low0(_mm512_load_si512(kDecode.low)),
          low1(_mm512_load_si512(kDecode.low + 64)),
          high0(_mm512_load_si512(kDecode.high)),
          high1(_mm512_load_si512(kDecode.high + 64)),
          sign(_mm512_set1_epi8(static_cast<char>(0x80))) {}

    // bytes(): the low and high byte of each code's bf16, in place.
    void bytes(Bits codes, Bits& low, Bits& high) const {
        low = _mm512_permutex2var_epi8(low0, codes, low1);
        high = _mm512_permutex2var_epi8(high0, codes, high1);
        high = _mm512_ternarylogic_epi64(high, codes, sign, 0xf8);  // high | (codes & sign)
    }
    // 64 codes to 2 x 32 bf16, in order.
    void decode(Bits codes, Bits& first, Bits& second) const {
        // Unpacking works within 128-bit lanes: give each the quarter it will hold.
        const Bits order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
        Bits low, high;
        bytes(_mm512_permutexvar_epi64(order, codes), low, high);
        first = _mm512_unpacklo_epi8(low, high);
        second = _mm512_unpackhi_epi8(low, high);
    }
};

// How far ahead of a stream through weights to ask for them, and for which cache. Measured with e4m3 weights and one
// row of x from a mapped file, one core and two, GB/s. Zen 5, 4 KiB pages: into L2 27 and 54, into L1 32 and 61, with
// pages found too 38 and 75; plain loads of the same memory 33 and 67. Zen 4, pages of 2 MiB: nothing asked for 22 and
// 32, into L1 13 and 23 from anywhere ahead, into L2 26 and 30 from 8 to 32 KiB ahead. That is one long stream; a
// token's are many short ones, at whose beginnings a core looks ahead of nothing by itself: bench-m on two cores,
// against nothing asked for, 3 % more tokens with 16 KiB and 7 % with 8, on one core 3 % less with 8 than with 16.
struct Fetch {
    enum Into { kL1, kL2 };
    Into into;
    int64_t ahead;  // bytes

    explicit Fetch(int threads)
        : into(amd_family() == kZen5 ? kL1 : kL2), ahead(into == kL2 && threads == 1 ? 16384 : 8192) {}
    void line(const char* p) const {
        if (into == kL2) {
            _mm_prefetch(p, _MM_HINT_T1);
        } else {
            _mm_prefetch(p, _MM_HINT_T0);
        }
    }
};

inline F32x16 dot2(F32x16 acc, Bits a, Bits b) {
    return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
}

// The first n elements of a vector; none beyond them is touched.
inline __mmask64 first_bytes(int64_t n) {
    return n >= 64 ? ~__mmask64{0} : n <= 0 ? __mmask64{0} : (__mmask64{1} << n) - 1;
}
inline __mmask32 first_words(int64_t n) {
    return n >= 32 ? ~__mmask32{0} : n <= 0 ? __mmask32{0} : static_cast<__mmask32>((1u << n) - 1);
}
inline __mmask16 first_floats(int64_t n) {
    return static_cast<__mmask16>(n >= 16 ? 0xffff : n <= 0 ? 0 : (1u << n) - 1);
}

// To nearest, ties to even, in the lower halves of the lanes; subnormals and NaN kept (vcvtneps2bf16 flushes the
// first).
inline Bits bf16_bits(F32x16 v) {
    const Bits bits = _mm512_castps_si512(v);
    const Bits odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const Bits rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const Bits quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16);
}
inline __m256i round_to_bf16(F32x16 v) {
    return _mm512_cvtepi32_epi16(bf16_bits(v));
}

// 16 rows of 16 dwords to columns.
inline void transpose(Bits (&m)[16]) {
    Bits t[16];
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(m[i], m[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(m[i], m[i + 1]);
    }
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < 16; i += 4) {
        m[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        m[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        m[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        m[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_i32x4(m[i], m[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(m[i], m[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(m[i + 8], m[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(m[i + 8], m[i + 12], 0xdd);
    }
    VKS_AVX512BF16_UNROLL
    for (int i = 0; i < 8; ++i) {
        m[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        m[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

// The lanes' sums of four vectors, each in an order that doesn't depend on the others.
inline __m128 sums(F32x16 a, F32x16 b, F32x16 c, F32x16 d) {
    const F32x16 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const F32x16 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const F32x16 all = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd))),
                                     _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd))));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
