// y[t, n] = sum_k x[t, k] * w[n, k] with scales per 128 x 128 of w and per 1 x 128 of x where those are e4m3; f32 sums.
// Two ways: products() for few rows of x, reading w once (bound: its bytes), and tile() through shared memory for many
// (bound: arithmetic). On CPU devices products() does both: no barrier, each lane owns ROWS rows of w.
// The includer defines x_row().
#ifndef VKS_GEMM
#define VKS_GEMM
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#ifdef INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif
#ifdef ADDRESSES
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#endif
#include "lib/fp8.glsl"
#include "lib/group.glsl"
#include "lib/types.glsl"

layout(constant_id = 1) const uint X = F32;
layout(constant_id = 2) const uint W = F32;
layout(constant_id = 3) const uint Y = F32;
layout(constant_id = 4) const uint VECTOR = 0;  // load elements: 0 one by one, 1 by quads, 2 those of w by 16 bytes
layout(constant_id = 5) const uint TEAM = 1;    // invocations that share a row of w: 1 or the workgroup
layout(constant_id = 6) const uint ROWS = 2;    // rows of w a team takes at once, even
layout(constant_id = 7) const uint TOKENS = 8;  // rows of x at once
layout(constant_id = 8) const uint PAIRS = 0;  // y has an even number of columns
layout(constant_id = 9) const uint BROADCAST = 0;
layout(constant_id = 11) const uint BM = 0;  // lib/tile.glsl's
layout(binding = 0) readonly buffer XBuffer { uint x[]; };
layout(binding = 0) readonly buffer XBuffer2 { uvec2 x2[]; };
layout(binding = 0) readonly buffer XBuffer4 { uvec4 x4[]; };
layout(binding = 1) readonly buffer XScaleBuffer { float x_scale[]; };
layout(binding = 2) buffer YBuffer { uint y[]; };
#ifdef ADDRESSES
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Words { uint at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Words4 { uvec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Floats { float at[]; };
uvec2 w_address, w_scale_address;
#define W_WORDS Words(w_address).at
#ifdef INT64
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Pairs2 { u64vec2 at[]; };
#define W_PAIRS2 Pairs2(w_address).at
#endif
#define W_WORDS4 Words4(w_address).at
#define W_SCALE Floats(w_scale_address).at
#else
layout(binding = 3) readonly buffer WBuffer { uint w[]; };
layout(binding = 3) readonly buffer WBuffer4 { uvec4 w4[]; };
layout(binding = 4) readonly buffer WScaleBuffer { float w_scale[]; };
#ifdef INT64
layout(binding = 3) readonly buffer WBuffer64 { u64vec2 w64[]; };
#define W_PAIRS2 w64
#endif
#define W_WORDS w
#define W_WORDS4 w4
#define W_SCALE w_scale
#endif

// One product: of w the rows from w_from on, which are rows scaled_from... of the matrix the scales are for.
struct Job {
    uint n, k;
    uint x_from, x_stride;  // row r of x begins at element x_from + r * x_stride
    uint w_from, scaled_from;
    uint y_from, y_stride;
};
Job job;

const uint NO_ROW = 0xffffffffu;
uint x_row(uint r);  // which row of x makes row r of y; NO_ROW: it is zeros

// What an invocation loads of a row of w at once, a chunk: 16 bytes where lanes read side by side, else one quad of
// elements, in as many words. One by one is for rows that aren't aligned.
const uint STORED = VECTOR != 0 ? W : F32;
const uint QUADS = VECTOR == 2 ? (W == F8 ? 4 : W == F32 ? 1 : 2) : 1;
const uint CHUNK = 4 * QUADS;

float element(uint type, uint word, uint i) {
    return type == F8 ? f8_quad(word >> 8u * (i & 3u)).x : from_word(type, word, i);
}

// INT64: drivers on CPUs load component by component, lane by lane; two of 64 bits cost half of four.
uvec4 w_vector(uint i) {
#ifdef INT64
    const u64vec2 pairs = W_PAIRS2[i];
    return uvec4(unpack32(pairs.x), unpack32(pairs.y));
#else
    return W_WORDS4[i];
#endif
}

uvec4 w_chunk(uint n, uint k) {
    const uint i = (job.w_from + n) * job.k + k;
    if (VECTOR == 2) return w_vector(i / CHUNK);
    if (VECTOR != 0 && W == F32) return W_WORDS4[i / 4u];
    if (VECTOR != 0) return W == F8 ? uvec4(W_WORDS[i / 4u]) : uvec4(W_WORDS[i / 2u], W_WORDS[i / 2u + 1u], uvec2(0));
    vec4 v = vec4(0);
    [[unroll]] for (uint j = 0; j < 4u; ++j)
        if (k + j < job.k) v[j] = element(W, W_WORDS[word_of(W, i + j)], i + j);
    return floatBitsToUint(v);
}

vec4 w_quad(uvec4 chunk, uint quad) {
    if (STORED == F32) return uintBitsToFloat(chunk);
    if (STORED == F8) return f8_quad(chunk[quad]);
    const uint a = chunk[2u * quad], b = chunk[2u * quad + 1u];
    return vec4(from_word(W, a, 0u), from_word(W, a, 1u), from_word(W, b, 0u), from_word(W, b, 1u));
}

// Elements k ... k + 3 of the row that begins at element `from`; zeros past the end.
vec4 x_quad(uint from, uint k) {
    const uint i = from + k;
    if (VECTOR != 0) {
        if (X == F32) return uintBitsToFloat(x4[i / 4u]);
        if (X == F8) return f8_quad(x[i / 4u]);
        const uvec2 words = x2[i / 4u];
        return vec4(from_word(X, words.x, 0u), from_word(X, words.x, 1u), from_word(X, words.y, 0u), from_word(X, words.y, 1u));
    }
    vec4 v = vec4(0);
    [[unroll]] for (uint j = 0; j < 4u; ++j)
        if (k + j < job.k) v[j] = element(X, x[word_of(X, i + j)], i + j);
    return v;
}

uint k_blocks() { return (job.k + 127u) / 128u; }
float scale_of_w(uint n, uint k) {
    return W == F8 ? F8_UNIT * W_SCALE[((job.scaled_from + n) >> 7) * k_blocks() + (k >> 7)] : 1.0;
}
float scale_of_x(uint row, uint k) { return X == F8 ? F8_UNIT * x_scale[row * k_blocks() + (k >> 7)] : 1.0; }

// Elements n and n + 1 of a row of y, n even; those past the end stay as they are.
void put(uint r, uint n, vec2 v) {
    const uint i = job.y_from + r * job.y_stride + n;
    if (PAIRS != 0) {
        if (n < job.n) STORE2(Y, y, i, v);
    } else {
        if (n < job.n) STORE1(Y, y, i, v.x);
        if (n + 1u < job.n) STORE1(Y, y, i + 1u, v.y);
    }
}

// Elements a lane's loop goes through at once. BROADCAST: of x each lane of the workgroup, which is one subgroup, loads
// every LANES-th and shares it, as drivers on CPUs load lane by lane even where all lanes want the same word.
const uint LANES = BROADCAST != 0 ? gl_WorkGroupSize.x : CHUNK;
const uint STRIDE = CHUNK > LANES ? CHUNK : LANES;

float shared_x(uint from, uint k) {
    const uint mine = k + gl_LocalInvocationIndex, i = from + mine;
    return BROADCAST != 0 && mine < job.k ? element(X, x[word_of(X, i)], i) : 0.0;
}

vec4 next_x(uint from, uint k, uint lane, float mine) {
#ifdef SUBGROUP
    if (BROADCAST != 0) {
        vec4 v;
        [[unroll]] for (uint j = 0; j < 4u; ++j) v[j] = subgroupBroadcast(mine, lane + j);
        return v;
    }
#endif
    return x_quad(from, k);
}

shared vec4 team4[gl_WorkGroupSize.x];

// Sums over the workgroup, four at a time: each costs barriers.
vec4 team_sum4(vec4 v) {
    const uint me = gl_LocalInvocationIndex;
#ifdef SUBGROUP
    v = subgroupAdd(v);
    if (gl_NumSubgroups == 1u) return v;
    const uint mine = gl_SubgroupID, all = gl_NumSubgroups;
#else
    const uint mine = me, all = gl_WorkGroupSize.x;
#endif
    barrier();
    team4[mine] = v;
    barrier();
    v = vec4(0);
    for (uint i = 0; i < all; ++i) v += team4[i];
    return v;
}

// Rows [first, last) of y, at most TOKENS, times the team's rows of w. A lane of a team of one goes through k by blocks of
// 128, one scale each; lanes of a larger team take turns, a chunk each.
void product(uint n, uint first, uint last) {
    const uint me = TEAM == 1u ? 0u : gl_LocalInvocationIndex, block = TEAM == 1u ? 128u : CHUNK;
    float sum[TOKENS * ROWS], partial[TOKENS * ROWS], mine[TOKENS * (STRIDE / LANES)];
    uint row[TOKENS], from[TOKENS], at_n[ROWS];
    bool any = false;
    [[unroll]] for (uint r = 0; r < ROWS; ++r) at_n[r] = min(n + r, job.n - 1u);
    [[unroll]] for (uint t = 0; t < TOKENS; ++t) {
        row[t] = first + t < last ? x_row(first + t) : NO_ROW;
        any = any || row[t] != NO_ROW;
        from[t] = job.x_from + (row[t] == NO_ROW ? 0u : row[t]) * job.x_stride;
        [[unroll]] for (uint r = 0; r < ROWS; ++r) sum[t * ROWS + r] = 0;
    }
    const uint end = any ? job.k : 0u;
    for (uint begin = me * block; begin < end; begin += TEAM * block) {
        [[unroll]] for (uint i = 0; i < TOKENS * ROWS; ++i) partial[i] = 0;
        const uint stop = min(end, begin + block);
        for (uint k = begin; k < stop; k += STRIDE) {
            [[unroll]] for (uint t = 0; t < TOKENS; ++t)
                [[unroll]] for (uint at = 0; at < STRIDE; at += LANES) mine[(t * STRIDE + at) / LANES] = shared_x(from[t], k + at);
            [[unroll]] for (uint at = 0; at < STRIDE; at += CHUNK) {
                uvec4 chunk[ROWS];
                [[unroll]] for (uint r = 0; r < ROWS; ++r) chunk[r] = w_chunk(at_n[r], k + at);
                [[unroll]] for (uint q = 0; q < QUADS; ++q) {
                    vec4 wq[ROWS];
                    [[unroll]] for (uint r = 0; r < ROWS; ++r) wq[r] = w_quad(chunk[r], q);
                    [[unroll]] for (uint t = 0; t < TOKENS; ++t) {
                        const uint i = at + 4u * q;
                        const vec4 xq = next_x(from[t], k + i, i % LANES, mine[(t * STRIDE + i) / LANES]);
                        [[unroll]] for (uint j = 0; j < 4u; ++j)
                            [[unroll]] for (uint r = 0; r < ROWS; ++r) partial[t * ROWS + r] += xq[j] * wq[r][j];
                    }
                }
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            const float of_w = scale_of_w(at_n[r], begin);
            [[unroll]] for (uint t = 0; t < TOKENS; ++t)
                sum[t * ROWS + r] += partial[t * ROWS + r] * of_w * scale_of_x(row[t] == NO_ROW ? 0u : row[t], begin);
        }
    }
    if (TEAM != 1u) {
        [[unroll]] for (uint i = 0; i < TOKENS * ROWS; i += 4u) {
            vec4 v = vec4(0);
            [[unroll]] for (uint j = 0; j < 4u; ++j)
                if (i + j < TOKENS * ROWS) v[j] = sum[i + j];
            v = team_sum4(v);
            [[unroll]] for (uint j = 0; j < 4u; ++j)
                if (i + j < TOKENS * ROWS) sum[i + j] = v[j];
        }
    }
    [[unroll]] for (uint t = 0; t < TOKENS; ++t) {
        [[unroll]] for (uint r = 0; r < ROWS; r += 2u) {
            vec2 v = vec2(sum[t * ROWS + r], sum[t * ROWS + r + 1u]);
            if (row[t] == NO_ROW) v = vec2(0);
            if (first + t < last && me == 0u) put(first + t, n + r, v);
        }
    }
}

// Rows [first, last) of y, at most TOKENS, times the workgroup's share of w.
void products(uint group, uint first, uint last) {
    const uint n = TEAM == 1u ? (group * gl_WorkGroupSize.x + gl_LocalInvocationIndex) * ROWS : group * ROWS;
    product(n, first, last);
}
#endif
