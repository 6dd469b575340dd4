// GemmKernels::direct on vdpbf16ps: M rows of x, N rows of w decoded in registers. Part of gemm_avx512bf16.cpp.
//
// One row of x: one row of w at a time, which is memory's order; hardware prefetchers follow nothing better. More rows
// of x: two rows of w, so that x is loaded half as often. A block of 128 is decoded once, then used row by row: its
// vectors, the tables and M * N totals are what 32 registers hold.

// A block of a row.
template <class W>
struct Quad {
    Bits v[4];
};
template <class W>
inline Quad<W> load_quad(const W* p, int64_t n, const Decoder& decoder) {
    const Pair a = load_pair(p, n, decoder);
    Pair b = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    if (n > 64) b = load_pair(p + 64, n - 64, decoder);
    return {{a.first, a.second, b.first, b.second}};
}

// total[M][N] += x w^T over a block from k on, of which x has `vectors`: 4 or, at a row's end, 2.
template <bool XScaled, int M, int N>
inline void add_block(const Direct& d, const Quad<F8> (&w)[N], const float* const (&scale)[N],
                      const uint16_t* const (&x)[M], int64_t k, int vectors, F32x16 (&total)[M][N]) {
    const int64_t block = k / kScaleBlock;
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) {
        F32x16 partial[N];
        VKS_AVX512BF16_UNROLL
        for (int n = 0; n < N; ++n) partial[n] = _mm512_setzero_ps();
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < 4; ++v) {
            if (v >= vectors) break;
            const Bits a = _mm512_loadu_si512(x[m] + k + v * kWidth);
            VKS_AVX512BF16_UNROLL
            for (int n = 0; n < N; ++n) partial[n] = dot2(partial[n], a, w[n].v[v]);
        }
        VKS_AVX512BF16_UNROLL
        for (int n = 0; n < N; ++n) {
            F32x16 both = _mm512_set1_ps(scale[n][block]);
            if constexpr (XScaled) {  // a row of zeros has no scales
                both = _mm512_mul_ps(both, _mm512_set1_ps(d.x_scale[m] ? d.x_scale[m][block] : 0.0f));
            }
            total[m][n] = _mm512_fmadd_ps(partial[n], both, total[m][n]);
        }
    }
}

// The same for weights without scales.
template <bool, int M, int N>
inline void add_block(const Direct&, const Quad<Bf16> (&w)[N], const float* const (&)[N], const uint16_t* const (&x)[M],
                      int64_t k, int vectors, F32x16 (&total)[M][N]) {
    VKS_AVX512BF16_UNROLL
    for (int v = 0; v < 4; ++v) {
        if (v >= vectors) break;
        VKS_AVX512BF16_UNROLL
        for (int m = 0; m < M; ++m) {
            const Bits a = _mm512_loadu_si512(x[m] + k + v * kWidth);
            VKS_AVX512BF16_UNROLL
            for (int n = 0; n < N; ++n) total[m][n] = dot2(total[m][n], a, w[n].v[v]);
        }
    }
}

// Where reading goes on behind an item's rows.
struct Path {
    const char* end;
    int64_t jump;  // from there to the next rows

    // What will be read `distance` bytes after p.
    const char* after(const void* p, int64_t distance) const {
        const char* from = static_cast<const char*>(p) + distance;
        return from + (from < end ? 0 : jump);
    }
};
template <class W>
inline Path path(const Direct& d) {
    const char* end =
        reinterpret_cast<const char*>(reinterpret_cast<const W*>(d.product->w.data) + d.last * d.product->w.stride);
    return {end, d.next.data ? static_cast<const char*>(d.next.data) - end : 0};
}

// Walks along rows of w, [first, last), with no division: which row of scales a row has changes every rows_per_scale.
template <class W>
struct Cursor {
    const W* data;
    const float* scale;
    int64_t stride, scale_columns;
    int64_t left, until_scale, rows_per_scale;

    explicit Cursor(const Direct& d)
        : stride(d.product->w.stride),
          scale_columns(d.product->w.scale_columns),
          left(d.last - d.first),
          rows_per_scale(d.product->w.rows_per_scale) {
        const RowRef row = d.product->w.row(d.first);
        data = static_cast<const W*>(row.data);
        scale = row.scale;
        until_scale = rows_per_scale - (d.product->w.first + d.first) % rows_per_scale;
    }
    // To the next row; the last one stays.
    void advance() {
        if (--left <= 0) return;
        data += stride;
        if (scale && --until_scale == 0) {
            scale += scale_columns;
            until_scale = rows_per_scale;
        }
    }
};

// The most rows of x at a time.
constexpr int kGroup = 8;

// Columns whose sums over lanes are formed together.
constexpr int kSums = 4;

// to[m][at + n] = x[m] w[n]^T for the N rows of w from `rows` on.
template <bool XScaled, class W, int M, int N>
inline void direct_tile(const Direct& d, const Path& path, const Fetch& to_cache, const uint16_t* const (&x)[M],
                        Cursor<W>& rows, int at, F32x16 (&to)[M][kSums]) {
    const Decoder decoder;
    const W* w[N];
    const char* ahead[N];
    const float* scale[N];
    F32x16 total[M][N];
    VKS_AVX512BF16_UNROLL
    for (int n = 0; n < N; ++n) {
        w[n] = rows.data;
        scale[n] = rows.scale;
        rows.advance();
        ahead[n] = path.after(w[n], to_cache.ahead);
        find_pages(path.after(w[n], kPageAhead), d.k * static_cast<int64_t>(sizeof(W)));
        VKS_AVX512BF16_UNROLL
        for (int m = 0; m < M; ++m) total[m][n] = _mm512_setzero_ps();
    }
    Quad<W> v[N];
    int64_t k = 0;
    for (; k + kScaleBlock <= d.k; k += kScaleBlock) {
        VKS_AVX512BF16_UNROLL
        for (int n = 0; n < N; ++n) {
            v[n] = load_quad(w[n] + k, kScaleBlock, decoder);
            fetch<W>(to_cache, ahead[n] + k * static_cast<int64_t>(sizeof(W)));
            fetch<W>(to_cache, ahead[n] + (k + 64) * static_cast<int64_t>(sizeof(W)));
        }
        add_block<XScaled>(d, v, scale, x, k, 4, total);
    }
    if (k < d.k) {
        VKS_AVX512BF16_UNROLL
        for (int n = 0; n < N; ++n) v[n] = load_quad(w[n] + k, d.k - k, decoder);
        add_block<XScaled>(d, v, scale, x, k, d.k - k > 64 ? 4 : 2, total);
    }
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) {
        VKS_AVX512BF16_UNROLL
        for (int n = 0; n < N; ++n) to[m][at + n] = total[m][n];
    }
}

template <bool XScaled, class W, int M>
void direct_rows(const Direct& d) {
    constexpr int kN = M == 1 ? 1 : 2;
    const Product& p = *d.product;
    const int64_t y_bytes = p.y_stride * (p.y_dtype == VKS_F32 ? 4 : 2);
    const uint16_t* x[M];
    for (int m = 0; m < M; ++m) x[m] = static_cast<const uint16_t*>(d.x[m]);
    const Path way = path<W>(d);
    const int64_t scales = d.next.scale ? ((d.last - d.first) / kScaleBlock + 1) * p.w.scale_columns : 0;
    for (int64_t i = 0; i < scales; i += 16) _mm_prefetch(reinterpret_cast<const char*>(d.next.scale + i), _MM_HINT_T0);
    const Fetch to_cache(d.threads);
    Cursor<W> rows(d);
    for (int64_t column = d.first; column < d.last; column += kSums) {
        F32x16 total[M][kSums];
        VKS_AVX512BF16_UNROLL
        for (int at = 0; at < kSums; at += kN) direct_tile<XScaled, W, M, kN>(d, way, to_cache, x, rows, at, total);
        VKS_AVX512BF16_UNROLL
        for (int m = 0; m < M; ++m) {
            const __m128 s = sums(total[m][0], total[m][1], total[m][2], total[m][3]);
            put(_mm512_zextps128_ps512(s), p.y + m * y_bytes, p.y_dtype, column,
                std::min<int64_t>(d.last - column, kSums));
        }
    }
}

template <class W, int M>
void direct_rows(const Direct& d) {
    d.product->x.scale ? direct_rows<true, W, M>(d) : direct_rows<false, W, M>(d);
}

template <class W>
void direct_group(const Direct& d) {
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
            return direct_rows<W, kGroup>(d);
    }
}

// More rows: in groups, for which w comes from memory once.
template <class W>
void direct(const Direct& d) {
    if (d.rows <= kGroup) return direct_group<W>(d);
    for (int first = 0; first < d.rows; first += kGroup) {
        Direct group = d;
        Product product = *d.product;
        group.rows = std::min(kGroup, d.rows - first);
        for (int i = 0; i < group.rows; ++i) {
            group.x[i] = d.x[first + i];
            group.x_scale[i] = d.x_scale[first + i];
        }
        product.y += first * product.y_stride * (product.y_dtype == VKS_F32 ? 4 : 2);
        group.product = &product;
        direct_group<W>(group);
    }
}
