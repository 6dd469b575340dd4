//! op       rms_norm/1   y[T,H] = x / sqrt(mean(x^2) + eps) * w; one workgroup per row. Bound: memory bandwidth.
//! variant  subgroup
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/reduce.glsl"
#include "lib/types.glsl"
#include "rms_norm.h"

layout(constant_id = 1) const uint X = F32;
layout(constant_id = 2) const uint W = F32;
layout(constant_id = 3) const uint Y = F32;
layout(binding = 0) readonly buffer XBuffer { uint x[]; };
layout(binding = 1) readonly buffer WBuffer { uint w[]; };
layout(binding = 2) buffer YBuffer { uint y[]; };
layout(push_constant) uniform Push { RmsNormPush p; };

void main() {
    const uint t = group_index(), me = gl_LocalInvocationIndex;
    if (t >= p.rows) return;
    const uint row = t * p.columns;
    float sum = 0;
    for (uint i = me; i < p.columns; i += gl_WorkGroupSize.x) {
        const float v = LOAD(X, x, row + i);
        sum += v * v;
    }
    const float inverse = 1.0 / sqrt(team_sum(sum) / float(p.columns) + p.eps);
    if ((p.columns & 1u) == 0u) {
        for (uint i = 2u * me; i < p.columns; i += 2u * gl_WorkGroupSize.x) {
            const vec2 v = vec2(LOAD(X, x, row + i) * inverse * LOAD(W, w, i), LOAD(X, x, row + i + 1u) * inverse * LOAD(W, w, i + 1u));
            STORE2(Y, y, row + i, v);
        }
    } else {
        for (uint i = me; i < p.columns; i += gl_WorkGroupSize.x) {
            const float v = LOAD(X, x, row + i) * inverse * LOAD(W, w, i);
            STORE1(Y, y, row + i, v);
        }
    }
}
