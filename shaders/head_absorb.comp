//! op       head_gemm/1, ABSORB   y[t,h,c] = sum_d x[t,h,d] w[h*(nope+v)+d, c]. Bound: bytes of w for few rows of x.
// A lane makes four columns c of TOKENS rows: neighbouring lanes read neighbouring bytes of w, and no sum crosses lanes.
#version 450
#extension GL_GOOGLE_include_directive : require
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
