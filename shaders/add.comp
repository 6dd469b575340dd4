//! op       add/1   y = a + b; one workgroup per `run` elements. Bound: memory bandwidth.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/rows.glsl"
#include "add.h"

layout(constant_id = 1) const uint A = F32;
layout(constant_id = 2) const uint B = F32;
layout(constant_id = 3) const uint Y = F32;
layout(binding = 0) readonly buffer ABuffer { uint a[]; };
layout(binding = 1) readonly buffer BBuffer { uint b[]; };
layout(binding = 2) buffer YBuffer { uint y[]; };
layout(push_constant) uniform Push { AddPush p; };

uint first;

float element(uint i) { return LOAD(A, a, first + i) + LOAD(B, b, first + i); }

void main() {
    if (group_index() >= (p.count + p.run - 1u) / p.run) return;
    first = group_index() * p.run;
    STORE_RUN(Y, y, first, min(p.run, p.count - first), element)
}
