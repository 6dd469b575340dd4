//! op       head_gemm/1, ABSORB   y[t,h,c] = sum_d x[t,h,d] w[h*(nope+v)+d, c]. Bound: bytes of w for few rows of x.
//! variant  subgroup
// A lane makes four columns c of TOKENS rows: neighbouring lanes read neighbouring bytes of w, and no sum crosses lanes.
// The variant is for devices run by the CPU, where loads are what costs: a lane has 16 bytes of w at once, and each lane of
// the workgroup, which is one subgroup, loads every LANES-th element of x and shares it.
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef SUBGROUP
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#include "lib/fp8.glsl"
#include "lib/group.glsl"
#include "lib/types.glsl"
#include "head_gemm.h"

layout(constant_id = 1) const uint X = F32;
layout(constant_id = 2) const uint W = F32;
layout(constant_id = 3) const uint Y = F32;
layout(constant_id = 4) const uint VECTOR = 0;  // not 0: lora is a multiple of four
layout(constant_id = 7) const uint TOKENS = 1;
layout(binding = 0) readonly buffer XBuffer { uint x[]; };
layout(binding = 1) buffer YBuffer { uint y[]; };
layout(binding = 2) readonly buffer WBuffer { uint w[]; };
layout(binding = 2) readonly buffer WBuffer4 { uvec4 w4[]; };
layout(binding = 3) readonly buffer WScaleBuffer { float w_scale[]; };
layout(push_constant) uniform Push { HeadGemmPush p; };

float w_element(uint i) {
    const uint word = w[word_of(W, i)];
    return W == F8 ? f8_quad(word >> 8u * (i & 3u)).x : from_word(W, word, i);
}

// Columns c ... c + 3 of a row; zeros past the end.
vec4 w_columns(uint row, uint c) {
    const uint i = row * p.lora + c;
    if (VECTOR == 0) {
        vec4 v = vec4(0);
        for (uint j = 0; j < 4u && c + j < p.lora; ++j) v[j] = w_element(i + j);
        return v;
    }
    if (W == F8) return f8_quad(w[i / 4u]);
    if (W == F32) return uintBitsToFloat(w4[i / 4u]);
    const uint a = w[i / 2u], b = w[i / 2u + 1u];
    return vec4(from_word(W, a, 0u), from_word(W, a, 1u), from_word(W, b, 0u), from_word(W, b, 1u));
}

void put(uint i, uint c, vec4 v) {
    if (VECTOR != 0) {
        STORE2(Y, y, i, v.xy);
        STORE2(Y, y, i + 2u, v.zw);
    } else {
        for (uint j = 0; j < 4u && c + j < p.lora; ++j) STORE1(Y, y, i + j, v[j]);
    }
}

#ifdef SUBGROUP
const uint QUADS = W == F8 ? 4 : W == F32 ? 1 : 2;  // of columns, in 16 bytes
const uint LANES = gl_WorkGroupSize.x;
const uint AHEAD = LANES < 8u ? LANES : 8u;  // rows loaded before the first of them is used: one alone would be waited for
vec4 partial[TOKENS * QUADS];

vec4 w_quad(uvec4 chunk, uint quad) {
    if (W == F8) return f8_quad(chunk[quad]);
    if (W == F32) return uintBitsToFloat(chunk);
    const uint a = chunk[2u * quad], b = chunk[2u * quad + 1u];
    return vec4(from_word(W, a, 0u), from_word(W, a, 1u), from_word(W, b, 0u), from_word(W, b, 1u));
}

void add_row(uvec4 chunk, float value[TOKENS]) {
    [[unroll]] for (uint q = 0; q < QUADS; ++q) {
        const vec4 wq = w_quad(chunk, q);
        [[unroll]] for (uint t = 0; t < TOKENS; ++t) partial[t * QUADS + q] += value[t] * wq;
    }
}

// Rows [d, stop) of a head's.
void add_rows(uint from, uint d, uint stop, uint c, uint at[TOKENS]) {
    const uint step = p.lora / (4u * QUADS), chunk = c / (4u * QUADS);
    float mine[TOKENS], value[TOKENS];
    for (; d + LANES <= stop; d += LANES) {
        [[unroll]] for (uint t = 0; t < TOKENS; ++t) mine[t] = LOAD(X, x, at[t] + d + gl_LocalInvocationIndex);
        [[unroll]] for (uint begin = 0; begin < LANES; begin += AHEAD) {
            uvec4 loaded[AHEAD];
            [[unroll]] for (uint j = 0; j < AHEAD; ++j) loaded[j] = w4[(from + d + begin + j) * step + chunk];
            [[unroll]] for (uint j = 0; j < AHEAD; ++j) {
                [[unroll]] for (uint t = 0; t < TOKENS; ++t) value[t] = subgroupBroadcast(mine[t], begin + j);
                add_row(loaded[j], value);
            }
        }
    }
    for (; d < stop; ++d) {
        [[unroll]] for (uint t = 0; t < TOKENS; ++t) value[t] = LOAD(X, x, at[t] + d);
        add_row(w4[(from + d) * step + chunk], value);
    }
}

// Lanes past the last column work on it, too, and leave it alone: all have to share.
void main() {
    const uint group = group_index(), head = group / p.tiles / p.shares;
    if (head >= p.heads) return;
    const uint place = 4u * QUADS * (group / p.tiles % p.shares * LANES + gl_LocalInvocationIndex);
    const uint c = min(place, p.lora - 4u * QUADS);
    const uint first = group % p.tiles * TOKENS, from = head * (p.nope + p.v), scales = (p.lora + 127u) / 128u;
    vec4 sum[TOKENS * QUADS];
    uint at[TOKENS];
    [[unroll]] for (uint i = 0; i < TOKENS * QUADS; ++i) sum[i] = vec4(0);
    [[unroll]] for (uint t = 0; t < TOKENS; ++t) at[t] = (min(first + t, p.rows - 1u) * p.heads + head) * (p.nope + p.rope);
    // What has one scale is summed up first.
    for (uint d = 0, stop; d < p.nope; d = stop) {
        stop = min(p.nope, d + 128u - (from + d & 127u));
        [[unroll]] for (uint i = 0; i < TOKENS * QUADS; ++i) partial[i] = vec4(0);
        add_rows(from, d, stop, c, at);
        const float scale = W == F8 ? F8_UNIT * w_scale[(from + d >> 7) * scales + (c >> 7)] : 1.0;
        [[unroll]] for (uint i = 0; i < TOKENS * QUADS; ++i) sum[i] += partial[i] * scale;
    }
    [[unroll]] for (uint t = 0; t < TOKENS; ++t) {
        if (first + t >= p.rows || place >= p.lora) break;
        [[unroll]] for (uint q = 0; q < QUADS; ++q) {
            const uint column = c + 4u * q;
            put(((first + t) * p.heads + head) * p.lora + column, column, sum[t * QUADS + q]);
        }
    }
}
#else
void main() {
    const uint group = group_index(), head = group / p.tiles / p.shares;
    const uint c = 4u * (group / p.tiles % p.shares * gl_WorkGroupSize.x + gl_LocalInvocationIndex);
    if (head >= p.heads || c >= p.lora) return;
    const uint first = group % p.tiles * TOKENS, from = head * (p.nope + p.v), scales = (p.lora + 127u) / 128u;
    vec4 sum[TOKENS], partial[TOKENS];
    uint at[TOKENS];
    for (uint t = 0; t < TOKENS; ++t) {
        sum[t] = partial[t] = vec4(0);
        at[t] = (min(first + t, p.rows - 1u) * p.heads + head) * (p.nope + p.rope);
    }
    for (uint d = 0; d < p.nope; ++d) {
        const uint row = from + d;
        const vec4 wq = w_columns(row, c);
        for (uint t = 0; t < TOKENS; ++t) partial[t] += LOAD(X, x, at[t] + d) * wq;
        // What has one scale is summed up first.
        if (d + 1u < p.nope && (row & 127u) != 127u) continue;
        const float scale = W == F8 ? F8_UNIT * w_scale[(row >> 7) * scales + (c >> 7)] : 1.0;
        for (uint t = 0; t < TOKENS; ++t) {
            sum[t] += partial[t] * scale;
            partial[t] = vec4(0);
        }
    }
    for (uint t = 0; t < TOKENS; ++t)
        if (first + t < p.rows) put(((first + t) * p.heads + head) * p.lora + c, c, sum[t]);
}
#endif
