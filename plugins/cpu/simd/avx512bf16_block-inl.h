// GemmKernels::block on vdpbf16ps, and how it wants w. Part of gemm_avx512bf16.cpp.
//
// A vector holds a pair of neighbours in k of each of 16 rows of w, and meets the same pair of a row of x in all lanes:
// 16 outputs a vector, nothing is summed across lanes, and a block of 128 of k is 64 products an accumulator between
// two uses of its scale. Tiles of 6 rows by 64 columns: 24 accumulators, 4 vectors of w, 2 of x.

constexpr int kTileRows = 6, kTileVectors = 4;
constexpr int kPairs = kScaleBlock / 2;  // of a block of k

// ---- pack

// 4 x 4 lanes of 128 bits, transposed.
inline void transpose_lanes(const Bits (&from)[4], Bits (&to)[4]) {
    const Bits a = _mm512_shuffle_i64x2(from[0], from[1], 0x44), b = _mm512_shuffle_i64x2(from[0], from[1], 0xee);
    const Bits c = _mm512_shuffle_i64x2(from[2], from[3], 0x44), d = _mm512_shuffle_i64x2(from[2], from[3], 0xee);
    to[0] = _mm512_shuffle_i64x2(a, c, 0x88);
    to[1] = _mm512_shuffle_i64x2(a, c, 0xdd);
    to[2] = _mm512_shuffle_i64x2(b, d, 0x88);
    to[3] = _mm512_shuffle_i64x2(b, d, 0xdd);
}

// 64 elements of each of 16 rows as 32 vectors: [pair][row]. Elements beyond n, and rows that aren't there, are zeros.
inline void interleave(const F8* const (&rows)[kWTile], int64_t n, const Decoder& decoder, uint16_t* to) {
    Bits quads[4][4];  // [rows 4g..4g+3][q]: in lane l pairs 8l+2q and 8l+2q+1 of those rows
    VKS_AVX512BF16_UNROLL
    for (int g = 0; g < 4; ++g) {
        Bits row[4];
        VKS_AVX512BF16_UNROLL
        for (int i = 0; i < 4; ++i)
            row[i] = _mm512_maskz_loadu_epi8(first_bytes(rows[4 * g + i] ? n : 0), rows[4 * g + i]);
        const Bits low0 = _mm512_unpacklo_epi16(row[0], row[1]), high0 = _mm512_unpackhi_epi16(row[0], row[1]);
        const Bits low1 = _mm512_unpacklo_epi16(row[2], row[3]), high1 = _mm512_unpackhi_epi16(row[2], row[3]);
        quads[g][0] = _mm512_unpacklo_epi32(low0, low1);
        quads[g][1] = _mm512_unpackhi_epi32(low0, low1);
        quads[g][2] = _mm512_unpacklo_epi32(high0, high1);
        quads[g][3] = _mm512_unpackhi_epi32(high0, high1);
    }
    VKS_AVX512BF16_UNROLL
    for (int q = 0; q < 4; ++q) {
        Bits lanes[4];
        transpose_lanes({quads[0][q], quads[1][q], quads[2][q], quads[3][q]}, lanes);
        VKS_AVX512BF16_UNROLL
        for (int l = 0; l < 4; ++l) {
            Bits low, high;
            decoder.bytes(lanes[l], low, high);
            uint16_t* pair = to + (8 * l + 2 * q) * kWidth;
            _mm512_store_si512(pair, _mm512_unpacklo_epi8(low, high));
            _mm512_store_si512(pair + kWidth, _mm512_unpackhi_epi8(low, high));
        }
    }
}
inline void interleave(const Bf16* const (&rows)[kWTile], int64_t n, const Decoder&, uint16_t* to) {
    VKS_AVX512BF16_UNROLL
    for (int half = 0; half < 2; ++half) {
        Bits pairs[kWTile];
        VKS_AVX512BF16_UNROLL
        for (int i = 0; i < kWTile; ++i) {
            const Bf16* row = rows[i] ? rows[i] + 32 * half : nullptr;
            pairs[i] = _mm512_maskz_loadu_epi16(first_words(row ? n - 32 * half : 0), row);
        }
        transpose(pairs);
        VKS_AVX512BF16_UNROLL
        for (int i = 0; i < kWTile; ++i) _mm512_store_si512(to + (16 * half + i) * kWidth, pairs[i]);
    }
}

// Beside every 64 elements of 16 rows, as many bytes of what lies behind those rows are asked for, in memory's order:
// CPUs look ahead badly in rows that are read side by side.
template <class W>
void pack_w(const RowRef* rows, int64_t k, int64_t, void* to) {
    const Decoder decoder;
    const Fetch to_cache(1);
    auto* out = static_cast<uint16_t*>(to);
    const W* at[kWTile];
    for (int i = 0; i < kWTile; ++i) at[i] = static_cast<const W*>(rows[i].data);
    const char* ahead = at[0] ? reinterpret_cast<const char*>(at[0] + kWTile * k) : nullptr;
    if (ahead) find_pages(ahead + kPage, kWTile * k * static_cast<int64_t>(sizeof(W)));
    for (int64_t i = 0; i < k; i += kGranule, out += kGranule * kWTile) {
        if (ahead) {
            for (int line = 0; line < kWTile; ++line, ahead += 64 * sizeof(W)) fetch<W>(to_cache, ahead);
        }
        interleave(at, k - i, decoder, out);
        for (const W*& row : at) {
            if (row) row += kGranule;
        }
    }
}

// ---- block

// Lines to ask for, some at every tile.
struct Ahead {
    Fetch to_cache;
    const char* next;
    const char* end;
    int64_t bytes;  // at a tile

    Ahead(const Block& b, int64_t tiles)
        : to_cache(1), next(b.ahead), end(b.ahead + b.lines * 64), bytes((b.lines + tiles - 1) / tiles * 64) {}
    void fetch() {
        for (const char* to = std::min(next + bytes, end); next < to; next += 64) to_cache.line(next);
    }
};

// What a block of k's tiles have in common.
struct Step {
    const Block* block;
    Ahead* ahead;
    const uint16_t* w;  // of the block, its first pair
    int64_t w_tile;     // elements from 16 columns of w to the next
    int64_t k;          // where it begins
    int pairs;
    bool first;
    float* total;  // [kXBlock, columns of the tiles]
    int64_t stride;
};

// total[M, 16 V] of rows from `row` and columns from 16 `vector` on += the block's products, times scale.
template <class W, bool XScaled, int M, int V>
inline void add_tile(const Step& s, int row, int vector, const F32x16* scale) {
    const uint16_t* x[M];
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) x[m] = static_cast<const uint16_t*>(s.block->x_rows[row + m].data) + s.k;
    const uint16_t* w = s.w + vector * s.w_tile;
    float* total = s.total + row * s.stride + 16 * vector;
    constexpr bool kScaled = sizeof(W) == 1;

    F32x16 sum[M][V];
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) {
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < V; ++v) {
            sum[m][v] = kScaled || s.first ? _mm512_setzero_ps() : _mm512_load_ps(total + m * s.stride + 16 * v);
        }
    }
    for (int i = 0; i < s.pairs; ++i, w += kWidth) {
        Bits b[V];
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < V; ++v) b[v] = _mm512_load_si512(w + v * s.w_tile);
        VKS_AVX512BF16_UNROLL
        for (int m = 0; m < M; ++m) {
            int32_t pair = 0;
            std::memcpy(&pair, x[m] + 2 * i, sizeof pair);
            const Bits a = _mm512_set1_epi32(pair);
            VKS_AVX512BF16_UNROLL
            for (int v = 0; v < V; ++v) sum[m][v] = dot2(sum[m][v], a, b[v]);
        }
    }
    VKS_AVX512BF16_UNROLL
    for (int m = 0; m < M; ++m) {
        float x_scale = 1.0f;
        if constexpr (XScaled) {  // a row of zeros has no scales
            const float* scales = s.block->x_rows[row + m].scale;
            x_scale = scales ? scales[s.k / kScaleBlock] : 0.0f;
        }
        VKS_AVX512BF16_UNROLL
        for (int v = 0; v < V; ++v) {
            float* to = total + m * s.stride + 16 * v;
            F32x16 result = sum[m][v];
            if constexpr (kScaled) {
                const F32x16 both = XScaled ? _mm512_mul_ps(scale[v], _mm512_set1_ps(x_scale)) : scale[v];
                result = s.first ? _mm512_mul_ps(result, both) : _mm512_fmadd_ps(result, both, _mm512_load_ps(to));
            }
            _mm512_store_ps(to, result);
        }
    }
}

template <class W, bool XScaled, int V>
void add_rows(const Step& s, int row, int vector, const F32x16* scale) {
    switch (s.block->rows - row) {
        case 1:
            return add_tile<W, XScaled, 1, V>(s, row, vector, scale);
        case 2:
            return add_tile<W, XScaled, 2, V>(s, row, vector, scale);
        case 3:
            return add_tile<W, XScaled, 3, V>(s, row, vector, scale);
        case 4:
            return add_tile<W, XScaled, 4, V>(s, row, vector, scale);
        case 5:
            return add_tile<W, XScaled, 5, V>(s, row, vector, scale);
        default:
            return add_tile<W, XScaled, kTileRows, V>(s, row, vector, scale);
    }
}

// Scales of 16 columns for the block of k that begins at k; those of a column that isn't there are 0.
inline F32x16 column_scales(const RowRef* w_rows, int64_t k) {
    const int64_t block = k / kScaleBlock;
    if (w_rows[0].scale && w_rows[0].scale == w_rows[kWTile - 1].scale) return _mm512_set1_ps(w_rows[0].scale[block]);
    alignas(64) float scale[kWTile];
    for (int i = 0; i < kWTile; ++i) scale[i] = w_rows[i].scale ? w_rows[i].scale[block] : 0.0f;
    return _mm512_load_ps(scale);
}

template <class W, bool XScaled>
void add_block_of_k(const Step& s, int vectors) {
    for (int v = 0; v < vectors;) {
        const int count = std::min(vectors - v, kTileVectors);
        F32x16 scale[kTileVectors];
        if constexpr (sizeof(W) == 1) {
            for (int i = 0; i < count; ++i) scale[i] = column_scales(s.block->w_rows + (v + i) * kWTile, s.k);
        }
        const auto add = count == kTileVectors ? add_rows<W, XScaled, kTileVectors>
                         : count >= 2          ? add_rows<W, XScaled, 2>
                                               : add_rows<W, XScaled, 1>;
        for (int row = 0; row < s.block->rows; row += kTileRows) {
            s.ahead->fetch();
            add(s, row, v, scale);
        }
        v += count == 3 ? 2 : count;
    }
}

constexpr int kMostColumns = 64;  // at a time

template <class W>
void block(const Block& b) {
    alignas(64) float total[kXBlock * kMostColumns];
    const int64_t row_bytes = b.y_stride * (b.y_dtype == VKS_F32 ? 4 : 2), row = padded(b.k);
    const int64_t tiles = (b.rows + kTileRows - 1) / kTileRows * ((b.columns + kMostColumns - 1) / kMostColumns);
    Ahead ahead(b, std::max<int64_t>(1, tiles * ((row + kScaleBlock - 1) / kScaleBlock)));
    for (int first = 0; first < b.columns; first += kMostColumns) {
        const int columns = std::min(kMostColumns, b.columns - first), vectors = (columns + kWTile - 1) / kWTile;
        Block part = b;
        part.w_rows += first;
        for (int64_t k = 0; k < row; k += kScaleBlock) {
            const Step step = {.block = &part,
                               .ahead = &ahead,
                               .w = static_cast<const uint16_t*>(b.w) + first * row + k * kWTile,
                               .w_tile = kWTile * row,
                               .k = k,
                               .pairs = static_cast<int>(std::min<int64_t>(kPairs, (row - k) / 2)),
                               .first = k == 0,
                               .total = total,
                               .stride = kMostColumns};
            sizeof(W) == 1 && b.x_scaled ? add_block_of_k<W, true>(step, vectors)
                                         : add_block_of_k<W, false>(step, vectors);
        }
        for (int r = 0; r < b.rows; ++r) {
            for (int c = 0; c < columns; c += 16) {
                put(row == 0 ? _mm512_setzero_ps() : _mm512_load_ps(total + r * kMostColumns + c), b.y + r * row_bytes,
                    b.y_dtype, first + c, columns - c);
            }
        }
    }
}
