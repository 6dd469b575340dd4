// Matrix products by cooperative matrices, f16 x f16 -> f32: a workgroup makes BM rows of y times BN columns, a subgroup of
// it AM x AN matrices of TM x TN. Tiles of x and w, BK deep, lie in shared memory as f16; the next ones are fetched into
// registers meanwhile. For x of bf16 or e4m3 and w of e4m3, bf16 or f16, in rows of a multiple of 16 elements.
//
// No operand is rounded: e4m3 is a subset of f16; a tile of bf16 is multiplied by a power of two (lib/half.glsl). That
// power, the scales of e4m3 and all else that differs along k is applied to f32 sums of at most 128 products ("partial")
// before they are added to "total".
//
// FLOAT8: e4m3 x e4m3 -> f32 where the device multiplies these, for x and w that are both e4m3. Their tiles lie as they are.
#ifndef VKS_MATRIX
#define VKS_MATRIX
#ifdef FLOAT8
#extension GL_EXT_float_e4m3 : require
#endif
#include "lib/half.glsl"
#include "lib/gemm.glsl"

layout(constant_id = 12) const uint BN = 16;
layout(constant_id = 13) const uint BK = 16;
// The device's matrices. Validation layer 1.4.309 goes by what stands here, not by what is specialized, and lavapipe, where
// it runs, has 8x8x8.
layout(constant_id = 14) const uint TM = 8;
layout(constant_id = 15) const uint TN = 8;
layout(constant_id = 16) const uint TK = 8;
layout(constant_id = 17) const uint AM = 1;
layout(constant_id = 18) const uint AN = 1;

const uint WORKGROUP = gl_WorkGroupSize.x;
const uint TEAMS = (BM / (AM * TM)) * (BN / (AN * TN));       // subgroups
const uint XC = X == F8 ? 16 : 8, WC = W == F8 ? 16 : 8;      // elements of 16 bytes
const uint X_LOADS = (BM * BK / XC + WORKGROUP - 1u) / WORKGROUP, W_LOADS = (BN * BK / WC + WORKGROUP - 1u) / WORKGROUP;
#ifdef FLOAT8
#define FACTOR floate4m3_t
const uint WORD = 8;  // elements of 8 bytes of a tile
#else
#define FACTOR float16_t
const uint WORD = 4;
#endif
const uint STEP = BK / WORD + 2;  // between rows of a tile, in words: 16 bytes more keep rows out of each other's banks
const bool X_RANGES = X == BF16, W_RANGES = W == BF16;
const uint NOWHERE = 0xffffffffu;

// By words the tile of x, then that of w; at the end, by pairs of f32, a matrix of y for each subgroup.
const uint TILES = (BM + BN) * STEP, MATRIX = TM * TN / 2, WS = BM * STEP;
shared uvec2 tiles[TILES > TEAMS * MATRIX ? TILES : TEAMS * MATRIX];
shared uvec2 peaks[TEAMS];
shared float row_scales[X == F8 ? BM : 1u];

// What this invocation fetches of a tile: elements from x_at on (plus k), or nothing.
uint x_at[X_LOADS], w_at[W_LOADS];
uvec4 x_next[X_LOADS], w_next[W_LOADS];

coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> partial[AM * AN], total[AM * AN];

uint x_chunk_row(uint i) { return (gl_LocalInvocationIndex + i * WORKGROUP) / (BK / XC); }
uint x_chunk_k(uint i) { return (gl_LocalInvocationIndex + i * WORKGROUP) % (BK / XC) * XC; }
uint w_chunk_row(uint i) { return (gl_LocalInvocationIndex + i * WORKGROUP) / (BK / WC); }
uint w_chunk_k(uint i) { return (gl_LocalInvocationIndex + i * WORKGROUP) % (BK / WC) * WC; }

void find_chunks(uint n, uint first, uint last) {
    [[unroll]] for (uint i = 0; i < X_LOADS; ++i) {
        const uint r = x_chunk_row(i), row = r < BM && first + r < last ? x_row(first + r) : NO_ROW;
        x_at[i] = row == NO_ROW ? NOWHERE : job.x_from + row * job.x_stride;
    }
    [[unroll]] for (uint i = 0; i < W_LOADS; ++i) {
        const uint r = w_chunk_row(i);
        w_at[i] = r < BN && n + r < job.n ? (job.w_from + n + r) * job.k : NOWHERE;
    }
}

void fetch(uint begin) {
    [[unroll]] for (uint i = 0; i < X_LOADS; ++i) {
        const uint k = begin + x_chunk_k(i);
        x_next[i] = uvec4(0);
        if (x_at[i] != NOWHERE && k < job.k) x_next[i] = x4[(x_at[i] + k) / XC];
    }
    [[unroll]] for (uint i = 0; i < W_LOADS; ++i) {
        const uint k = begin + w_chunk_k(i);
        w_next[i] = uvec4(0);
        if (w_at[i] != NOWHERE && k < job.k) w_next[i] = W_WORDS4[(w_at[i] + k) / WC];
    }
}

// Leaves the subgroup's peaks of what was fetched where all find them after a barrier.
void post_peaks() {
    uvec2 most = uvec2(0);
    if (X_RANGES) PEAK(x_next, X_LOADS, most.x)
    if (W_RANGES) PEAK(w_next, W_LOADS, most.y)
    if (X_RANGES) most.x = subgroupMax(most.x);
    if (W_RANGES) most.y = subgroupMax(most.y);
    if ((X_RANGES || W_RANGES) && gl_SubgroupInvocationID == 0u) peaks[gl_SubgroupID] = most;
}

// Exponents (biased, as in f32) of the powers of two that are the largest in the tile; such that 2^14 over them is finite.
uvec2 peak_exponents() {
    uvec2 most = uvec2(0);
    if (!X_RANGES && !W_RANGES) return most;
    for (uint i = 0; i < TEAMS; ++i) most = max(most, peaks[i]);
    return max(most >> 23, 27u);
}

// A chunk of bf16, f16 or e4m3 as words, from tiles[at] on.
void store_chunk(uint at, uint type, uvec4 chunk, float by) {
    if (type == F8 && WORD == 4) {
        [[unroll]] for (uint q = 0; q < 4u; ++q) {
            const vec4 v = f8_quad(chunk[q]) * F8_UNIT;
            tiles[at + q] = uvec2(half_pair(v.xy), half_pair(v.zw));
        }
        return;
    }
    if (type == BF16)
        [[unroll]] for (uint i = 0; i < 4u; ++i) chunk[i] = from_bf16(chunk[i], by);
    tiles[at] = chunk.xy;
    tiles[at + 1u] = chunk.zw;
}

void store_tiles(uvec2 exponents) {
    const float x_by = X_RANGES ? up(exponents.x) : 1.0, w_by = W_RANGES ? up(exponents.y) : 1.0;
    [[unroll]] for (uint i = 0; i < X_LOADS; ++i) {
        const uint at = x_chunk_row(i) * STEP + x_chunk_k(i) / WORD;
        if (x_chunk_row(i) < BM) store_chunk(at, X, x_next[i], x_by);
    }
    [[unroll]] for (uint i = 0; i < W_LOADS; ++i) {
        const uint at = WS + w_chunk_row(i) * STEP + w_chunk_k(i) / WORD;
        if (w_chunk_row(i) < BN) store_chunk(at, W, w_next[i], w_by);
    }
}

// The scales of x for a block of k.
void load_row_scales(uint first, uint last, uint k) {
    for (uint r = gl_LocalInvocationIndex; r < BM; r += WORKGROUP) {
        const uint row = first + r < last ? x_row(first + r) : NO_ROW;
        row_scales[r] = row == NO_ROW ? 0.0 : x_scale[row * k_blocks() + (k >> 7)];
    }
}

uint my_row() { return gl_SubgroupID / (BN / (AN * TN)) * (AM * TM); }
uint my_column() { return gl_SubgroupID % (BN / (AN * TN)) * (AN * TN); }

void multiply_tiles() {
    const uint row = my_row(), column = my_column();
    [[unroll]] for (uint k = 0; k < BK; k += TK) {
        coopmat<FACTOR, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA> a[AM];
        coopmat<FACTOR, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> b;
        [[unroll]] for (uint i = 0; i < AM; ++i)
            coopMatLoad(a[i], tiles, (row + i * TM) * STEP + k / WORD, STEP, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < AN; ++j) {
            coopMatLoad(b, tiles, WS + (column + j * TN) * STEP + k / WORD, STEP, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0; i < AM; ++i) partial[i * AN + j] = coopMatMulAdd(a[i], b, partial[i * AN + j]);
        }
    }
}

// What is up to `k` and not in the total yet, by the scales of a block.
void add_partial(uint n, uint k, uvec2 exponents) {
    float by = W == F8 ? W_SCALE[((job.scaled_from + n) >> 7) * k_blocks() + (k >> 7)] : 1.0;
    if (X_RANGES) by *= down(exponents.x);
    if (W_RANGES) by *= down(exponents.y);
    [[unroll]] for (uint i = 0; i < AM; ++i) {
        coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> of_rows;
        if (X == F8)  // the same column again and again
            coopMatLoad(of_rows, row_scales, my_row() + i * TM, 0u, gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint j = 0; j < AN; ++j) {
            const uint at = i * AN + j;
            if (X == F8) partial[at] = partial[at] * of_rows;
            total[at] = total[at] + partial[at] * by;
        }
    }
}

void store(uint n, uint first, uint last) {
    const uint from = gl_SubgroupID * MATRIX;
    barrier();
    [[unroll]] for (uint i = 0; i < AM; ++i) {
        [[unroll]] for (uint j = 0; j < AN; ++j) {
            coopMatStore(total[i * AN + j], tiles, from, TN / 2u, gl_CooperativeMatrixLayoutRowMajor);
            subgroupMemoryBarrierShared();
            subgroupBarrier();
            for (uint p = gl_SubgroupInvocationID; p < MATRIX; p += gl_SubgroupSize) {
                const uint r = first + my_row() + i * TM + p / (TN / 2u);
                const vec2 v = uintBitsToFloat(tiles[from + p]);
                if (r < last) put(r, n + my_column() + j * TN + 2u * (p % (TN / 2u)), x_row(r) == NO_ROW ? vec2(0) : v);
            }
            subgroupMemoryBarrierShared();
            subgroupBarrier();
        }
    }
}

// partial = products of a block of up to 128 of k that begins at `begin`. Gives back the exponents they are scaled by.
uvec2 multiply_block(uint first, uint last, uint begin) {
    [[unroll]] for (uint i = 0; i < AM * AN; ++i)
        partial[i] = coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>(0.0);
    uvec2 exponents = uvec2(0);
    const uint end = min(begin + 128u, job.k);
    for (uint k = begin; k < end; k += BK) {
        post_peaks();
        barrier();
        if (X == F8 && k == begin) load_row_scales(first, last, begin);
        if (X_RANGES || W_RANGES) {
            const uvec2 found = max(exponents, peak_exponents());
            if (k != begin && found != exponents) {
                const float by = shrink(found.x - exponents.x) * shrink(found.y - exponents.y);
                [[unroll]] for (uint i = 0; i < AM * AN; ++i) partial[i] = partial[i] * by;
            }
            exponents = found;
        }
        store_tiles(exponents);
        barrier();
        if (k + BK < job.k) fetch(k + BK);
        multiply_tiles();
    }
    return exponents;
}

// Rows first ... of y (below `last`) times rows n ... of w. BN divides 128, so that these share their scales.
void tile(uint n, uint first, uint last) {
    [[unroll]] for (uint i = 0; i < AM * AN; ++i)
        total[i] = coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>(0.0);
    find_chunks(n, first, last);
    fetch(0);
    for (uint begin = 0; begin < job.k; begin += 128u) add_partial(n, begin, multiply_block(first, last, begin));
    store(n, first, last);
}

const uint AT_ONCE = BM;

void multiply(uint share, uint first, uint last) { tile(share * BN, first, last); }
#endif
