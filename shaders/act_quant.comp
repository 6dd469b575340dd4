//! op       act_quant/1   per row and 128 channels s = max(amax, 1e-4)/448, q = e4m3(x/s); one workgroup per group.
//!          Bound: some 30 integer instructions a value, or memory bandwidth (5 bytes a value).
//! variant  subgroup
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/quant.glsl"
#include "lib/types.glsl"
#include "act_quant.h"

layout(constant_id = 1) const uint X = F32;
layout(binding = 0) readonly buffer XBuffer { uint x[]; };
layout(binding = 1) buffer QBuffer { uint q[]; };
layout(binding = 2) buffer ScaleBuffer { uint scales[]; };
layout(push_constant) uniform Push { ActQuantPush p; };

float element(uint i) { return LOAD(X, x, i); }

void main() {
    const uint blocks = (p.columns + 127u) / 128u, group = group_index();
    if (group >= p.rows * blocks) return;
    const uint column = group % blocks * 128u;
    QUANTISE(q, group / blocks * p.columns + column, min(128u, p.columns - column), scales, group, p.ue8m0 != 0u, element)
}
