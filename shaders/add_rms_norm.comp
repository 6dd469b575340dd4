//! op       add_rms_norm/1   sum[T,H] = x + delta, y = rms_norm(sum) * w; one workgroup per row. Bound: memory bandwidth.
//! variant  subgroup
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/norm.glsl"
#include "lib/rows.glsl"
#include "add_rms_norm.h"

layout(constant_id = 1) const uint DELTA = F32;
layout(constant_id = 2) const uint W = F32;
layout(constant_id = 3) const uint Y = F32;
layout(binding = 0) readonly buffer XBuffer { float x[]; };
layout(binding = 1) readonly buffer DeltaBuffer { uint delta[]; };
layout(binding = 2) readonly buffer WBuffer { uint w[]; };
layout(binding = 3) buffer SumBuffer { float sum[]; };
layout(binding = 4) buffer YBuffer { uint y[]; };
layout(push_constant) uniform Push { AddRmsNormPush p; };

uint row;
float inverse;

// Added up again for y rather than read back: x and delta are in the cache, and sum needs no barrier.
float element(uint i) { return x[row + i] + LOAD(DELTA, delta, row + i); }
float normal(uint i) { return element(i) * inverse * LOAD(W, w, i); }

void main() {
    if (group_index() >= p.rows) return;
    row = group_index() * p.columns;
    for (uint i = gl_LocalInvocationIndex; i < p.columns; i += gl_WorkGroupSize.x) sum[row + i] = element(i);
    INVERSE_RMS(inverse, element, p.columns, p.eps)
    STORE_RUN(Y, y, row, p.columns, normal)
}
