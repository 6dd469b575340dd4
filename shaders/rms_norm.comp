//! op       rms_norm/1   y[T,H] = x / sqrt(mean(x^2) + eps) * w; one workgroup per row. Bound: memory bandwidth.
//! variant  subgroup
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/norm.glsl"
#include "lib/rows.glsl"
#include "rms_norm.h"

layout(constant_id = 1) const uint X = F32;
layout(constant_id = 2) const uint W = F32;
layout(constant_id = 3) const uint Y = F32;
layout(binding = 0) readonly buffer XBuffer { uint x[]; };
layout(binding = 1) readonly buffer WBuffer { uint w[]; };
layout(binding = 2) buffer YBuffer { uint y[]; };
layout(push_constant) uniform Push { RmsNormPush p; };

uint t;
float inverse;

float element(uint i) { return LOAD(X, x, t * p.columns + i); }
float normal(uint i) { return element(i) * inverse * LOAD(W, w, i); }

void main() {
    t = group_index();
    if (t >= p.rows) return;
    INVERSE_RMS(inverse, element, p.columns, p.eps)
    STORE_RUN(Y, y, t * p.y_stride + p.y_column, p.columns, normal)
}
