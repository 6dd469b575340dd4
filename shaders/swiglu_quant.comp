//! op       swiglu_quant/1   h = silu(gate) * up, quantised as act_quant does when y is f8: then one workgroup per group of
//!          128, else per `run` elements. Bound: memory bandwidth.
//! variant  subgroup
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/quant.glsl"
#include "lib/rows.glsl"
#include "swiglu_quant.h"

layout(constant_id = 1) const uint GATE = F32;
layout(constant_id = 2) const uint UP = F32;
layout(constant_id = 3) const uint Y = F32;
layout(binding = 0) readonly buffer GateBuffer { uint gate[]; };
layout(binding = 1) readonly buffer UpBuffer { uint up[]; };
layout(binding = 2) buffer YBuffer { uint y[]; };
layout(binding = 3) buffer ScaleBuffer { uint scales[]; };
layout(push_constant) uniform Push { SwigluQuantPush p; };

uint first;

float at_index(uint i) {
    const float g = LOAD(GATE, gate, i);
    return g / (1.0 + exp(-g)) * LOAD(UP, up, i);
}
float element(uint i) { return at_index(first + i); }

void main() {
    const uint runs = (p.columns + p.run - 1u) / p.run, group = group_index();
    if (group >= p.rows * runs) return;
    const uint column = group % runs * p.run, n = min(p.run, p.columns - column);
    first = group / runs * p.columns + column;
    if (Y == F8) {
        QUANTISE(y, first, n, scales, group, false, at_index)
    } else {
        STORE_RUN(Y, y, first, n, element)
    }
}
