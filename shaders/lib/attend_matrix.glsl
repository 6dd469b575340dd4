// mla_attention by cooperative matrices, f16 x f16 -> f32, for q, positions and cache of bf16.
//
// A workgroup has BM heads of one token, so that what its rows see is the same: nothing is masked but a tile's end, and a
// cache row that isn't seen is never met. Of a tile of TILE cache rows, in shared memory as f16, it takes the scores (each
// subgroup has a slice of the columns, of one matrix row of queries, which stays in registers), running maxima and weights
// through shared memory in f32, and the sums (each subgroup has columns of all rows, in registers). Weights are f16 times
// 2^14, which holds all down to e^-26 of the largest as normal numbers.
//
// DeepSeek-V3, 32 heads at a time: per tile of 16 rows, 18 KiB read once per workgroup (60 flop/byte there), 136 products
// of 16x16x16 by 8 subgroups, 5 barriers. Bound: the matrix units. Nothing is fetched ahead: on navi31 that costs 3 of the 8
// waves that hide the loads.
#ifndef VKS_ATTEND_MATRIX
#define VKS_ATTEND_MATRIX
#include "lib/half.glsl"
#include "lib/attention.glsl"

layout(constant_id = 7) const uint TM = 16;  // the device's matrices
layout(constant_id = 8) const uint TN = 16;
layout(constant_id = 9) const uint TK = 16;
layout(constant_id = 10) const uint AM = 1;     // matrix rows of a workgroup
layout(constant_id = 11) const uint TEAMS = 1;  // subgroups, a multiple of AM
layout(constant_id = 12) const uint TILE = 16;  // divides BM
layout(binding = 1) readonly buffer PBuffer4 { uvec4 pe4[]; };

const uint WORKGROUP = gl_WorkGroupSize.x, LANES = WORKGROUP / TEAMS;
const uint BM = AM * TM, BLOCKS = (HEADS + BM - 1u) / BM;
const uint CHUNKS = WIDTH / 8u;  // 16 bytes of bf16
const uint LOADS = (TILE * CHUNKS + WORKGROUP - 1u) / WORKGROUP;
const uint STEP = WIDTH / 4u + 2u;  // between rows of a tile, in quads: 16 bytes more keep rows out of each other's banks
const uint WEIGHTS = TILE / 2u + 4u;  // between rows of weights, in pairs
const uint SLICES = TEAMS / AM, STEPS = WIDTH / TK, SLICE = (STEPS + SLICES - 1u) / SLICES;
const uint PART = SLICES * TK, PART_STEP = PART / 4u + 2u;  // queries' columns that are put into shared memory at once
const uint AN = (LORA / TN + TEAMS - 1u) / TEAMS;
const uint VALUES = BM * TILE, MINE = VALUES / WORKGROUP;  // scores of a tile; of them, looked after by one invocation
const uint WEIGHT_BITS = 14u;

// A tile as quads of f16; before, a part of the queries; at the end, by pairs of f32, a matrix of sums for each subgroup.
const uint MATRIX = TM * TN / 2u, PART_QUADS = BM * PART_STEP, TILE_QUADS = TILE * STEP;
const uint OTHERS = PART_QUADS > TEAMS * MATRIX ? PART_QUADS : TEAMS * MATRIX;
shared uvec2 tile[TILE_QUADS > OTHERS ? TILE_QUADS : OTHERS];
shared float scores[SLICES * VALUES];
shared uint weights[BM * WEIGHTS];  // pairs
shared float row_by[BM];            // what a row's sums are to be multiplied by
shared uint peaks[TEAMS];

uvec4 next[LOADS];
coopmat<float16_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA> query[SLICE];
coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> sums[AM * AN];
float peak, total;  // of the row whose values this invocation looks after; its own share of the sum

uint my_value() { return gl_LocalInvocationIndex * MINE; }
uint my_matrix() { return gl_SubgroupID % AM; }
uint my_step(uint i) { return i * SLICES + gl_SubgroupID / AM; }
uint my_column(uint j) { return (gl_SubgroupID * AN + j) * TN; }
// Compilers don't see that of the last column all subgroups may have theirs.
bool has_column(uint j) { return LORA / TN % TEAMS == 0u || my_column(j) < LORA; }

uint chunk(uint i) { return gl_LocalInvocationIndex + i * WORKGROUP; }

uvec4 query_chunk(uint row, uint at) {
    return at < LORA / 8u ? q4[row * (LORA / 8u) + at] : pe4[row * (ROPE / 8u) + at - LORA / 8u];
}

void fetch_cache(uint at, uint last) {
    const uint wanted = min(last - at, TILE) * CHUNKS;
    [[unroll]] for (uint i = 0; i < LOADS; ++i) {
        next[i] = uvec4(0);
        if (chunk(i) < wanted) next[i] = c4[at * CHUNKS + chunk(i)];
    }
}

// The largest exponent in the workgroup, or `least`. Nobody reads what was in shared memory before.
uint exponent_of(uint most, uint least) {
    most = subgroupMax(most);
    if (gl_SubgroupInvocationID == 0u) peaks[gl_SubgroupID] = most;
    barrier();
    for (uint i = 0; i < TEAMS; ++i) most = max(most, peaks[i]);
    return max(most >> 23, least);
}

void store_chunk(uint at, uvec4 words, float by) {
    tile[at] = uvec2(from_bf16(words.x, by), from_bf16(words.y, by));
    tile[at + 1u] = uvec2(from_bf16(words.z, by), from_bf16(words.w, by));
}

// Puts what was fetched where the tile is, and gives back the exponent it is scaled by.
uint store_tile(uint least) {
    uint most = 0;
    PEAK(next, LOADS, most)
    const uint exponent = exponent_of(most, least);
    const float by = up(exponent);
    [[unroll]] for (uint i = 0; i < LOADS; ++i)
        if (chunk(i) < TILE * CHUNKS) store_chunk(2u * (chunk(i) + chunk(i) / CHUNKS), next[i], by);
    barrier();
    return exponent;
}

// The queries of rows from `row` on, `rows` of them, and their exponent. A subgroup takes one step of every part.
uint load_queries(uint row, uint rows) {
    uint most = 0;
    for (uint i = gl_LocalInvocationIndex; i < rows * CHUNKS; i += WORKGROUP) {
        const uvec4 words = query_chunk(row + i / CHUNKS, i % CHUNKS);
        const uint any = peak_of(words);
        most = max(most, any < 0x7f800000u ? any : finite_peak_of(words));
    }
    const uint exponent = exponent_of(most, 27u);
    [[unroll]] for (uint s = 0; s < SLICE; ++s) {
        for (uint i = gl_LocalInvocationIndex; i < BM * (PART / 8u); i += WORKGROUP) {
            const uint r = i / (PART / 8u), at = i % (PART / 8u), from = s * (PART / 8u) + at;
            uvec4 words = uvec4(0);
            if (r < rows && from < CHUNKS) words = query_chunk(row + r, from);
            store_chunk(r * PART_STEP + 2u * at, words, up(exponent));
        }
        barrier();
        const uint at = my_matrix() * TM * PART_STEP + gl_SubgroupID / AM * (TK / 4u);
        coopMatLoad(query[s], tile, at, PART_STEP, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
    }
    return exponent;
}

// scores = the subgroups' parts of q k, for the tile.
void multiply_queries() {
    const uint at = (gl_SubgroupID / AM * BM + my_matrix() * TM) * TILE;
    [[unroll]] for (uint j = 0; j < TILE; j += TN) {
        coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> s =
            coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>(0.0);
        [[unroll]] for (uint i = 0; i < SLICE; ++i) {
            const uint step = min(my_step(i), STEPS - 1u);  // of those beyond, the query is zero
            coopmat<float16_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> b;
            coopMatLoad(b, tile, j * STEP + step * (TK / 4u), STEP, gl_CooperativeMatrixLayoutColumnMajor);
            s = coopMatMulAdd(query[i], b, s);
        }
        coopMatStore(s, scores, at + j, TILE, gl_CooperativeMatrixLayoutRowMajor);
    }
}

// weights = of the tile's first `count` rows, whose scores are too large by 2^28 over these powers; row_by = what the sums
// so far are worth now.
void weigh(uint count, uint query_exponent, uint exponent, uint steps) {
    const uint v = my_value(), row = v / TILE, first = row * TILE;
    [[unroll]] for (uint i = 0; i < MINE; ++i) {
        float x = 0;
        [[unroll]] for (uint s = 0; s < SLICES; ++s) x += scores[s * VALUES + v + i];
        scores[v + i] = v - first + i < count ? x * down(query_exponent) * down(exponent) * p.scale : LOWEST;
    }
    barrier();
    float highest = peak;
    [[unroll]] for (uint j = 0; j < TILE; ++j) highest = max(highest, scores[first + j]);
    const float left = peak == LOWEST ? 0.0 : decay(peak - highest);
    peak = highest;
    total *= left;
    if (v == first) row_by[row] = left * shrink(steps);
    [[unroll]] for (uint i = 0; i < MINE; i += 2u) {
        const float x = scores[v + i], y = scores[v + i + 1u];
        const vec2 w = vec2(x == LOWEST ? 0.0 : decay(x - highest), y == LOWEST ? 0.0 : decay(y - highest));
        total += w.x + w.y;
        weights[row * WEIGHTS + (v - first + i) / 2u] = half_pair(w * power(127u + WEIGHT_BITS));
    }
}

void multiply_sums() {
    [[unroll]] for (uint i = 0; i < AM; ++i) {
        coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> of_rows;
        // The same column again and again.
        coopMatLoad(of_rows, row_by, i * TM, 0u, gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint j = 0; j < AN; ++j) sums[i * AN + j] = sums[i * AN + j] * of_rows;
    }
}

void add_latents() {
    [[unroll]] for (uint k = 0; k < TILE; k += TK) {
        coopmat<float16_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA> a[AM];
        [[unroll]] for (uint i = 0; i < AM; ++i)
            coopMatLoad(a[i], weights, i * TM * WEIGHTS + k / 2u, WEIGHTS, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < AN; ++j) {
            // Those beyond the last are computed, too: lavapipe 26 loses half of a matrix that is used in a branch.
            const uint column = min(my_column(j), LORA - TN);
            coopmat<float16_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> b;
            coopMatLoad(b, tile, k * STEP + column / 4u, STEP, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint i = 0; i < AM; ++i) sums[i * AN + j] = coopMatMulAdd(a[i], b, sums[i * AN + j]);
        }
    }
}

// row_by = what makes sums into o (of a split: into what a merge takes), but for the exponent.
void finish_rows(uint first_row, uint heads, bool any) {
    const uint v = my_value(), row = v / TILE;
    scores[gl_LocalInvocationIndex] = total;
    barrier();
    if (v % TILE == 0u) {
        float sum = 0;
        for (uint i = 0; i < TILE / MINE; ++i) sum += scores[gl_LocalInvocationIndex + i];
        row_by[row] = any ? power(127u - WEIGHT_BITS) / (SPLITS > 1u ? 1.0 : sum) : 0.0;
        if (SPLITS > 1u && row < heads) state[split_row(first_row + row)] = vec2(peak, sum);
    }
    barrier();
    multiply_sums();
}

// No loop of unknown length: around one, some compilers leave loops over `sums` as they are, and `sums` in memory.
void store_matrix(uint from, uint first_row, uint rows, uint column, float by) {
    [[unroll]] for (uint i = 0; i < MATRIX / 2u; i += LANES) {
        const uint g = i + gl_SubgroupInvocationID, r = g / (TN / 4u);
        if (r < min(TM, rows)) {
            const uint row = first_row + r, group = column / 4u + g % (TN / 4u);
            const vec4 v = uintBitsToFloat(uvec4(tile[from + 2u * g], tile[from + 2u * g + 1u])) * by;
            if (SPLITS > 1u) {
                partial[split_row(row) * GROUPS + group] = v;
            } else {
                STORE_GROUP(o, row, group, v);
            }
        }
    }
}

void finish(uint first_row, uint heads, float by, bool any) {
    const uint from = gl_SubgroupID * MATRIX;
    finish_rows(first_row, heads, any);
    [[unroll]] for (uint i = 0; i < AM; ++i) {
        [[unroll]] for (uint j = 0; j < AN; ++j) {
            coopMatStore(sums[i * AN + j], tile, from, TN / 2u, gl_CooperativeMatrixLayoutRowMajor);
            subgroupMemoryBarrierShared();
            subgroupBarrier();
            if (has_column(j)) store_matrix(from, first_row + i * TM, max(heads, i * TM) - i * TM, my_column(j), by);
            subgroupMemoryBarrierShared();
            subgroupBarrier();
        }
    }
}

void attend() {
    const uint group = group_index(), token = group / BLOCKS, head = group % BLOCKS * BM;
    const uint first_row = token * HEADS + head, heads = min(HEADS - head, BM);
    if (token * HEADS >= p.rows) return;
    const uvec2 range = token_range(token);
    if (SPLITS > 1u && range.x >= range.y) return;
    const uint query_exponent = load_queries(first_row, heads);
    [[unroll]] for (uint i = 0; i < AM * AN; ++i)
        sums[i] = coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>(0.0);
    peak = LOWEST;
    total = 0;
    uint exponent = 27u;
    for (uint at = range.x; at < range.y; at += TILE) {
        const uint before = exponent;
        fetch_cache(at, range.y);
        exponent = store_tile(before);
        multiply_queries();
        barrier();
        weigh(range.y - at, query_exponent, exponent, exponent - before);
        barrier();
        multiply_sums();
        add_latents();
    }
    finish(first_row, heads, down(exponent), range.x < range.y);
}
#endif
