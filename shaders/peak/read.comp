//! peak     reading memory: each group a slice of the buffer, over and over where there are more groups than slices
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/group.glsl"
#include "peak.h"

layout(push_constant) uniform Push { PeakPush p; };
layout(binding = 0) restrict readonly buffer From { uvec4 from[]; };
layout(binding = 0) buffer To { uvec4 to[]; };

void main() {
    if (group_index() >= p.groups) return;
    const uint begin = group_index() % (p.size / p.slice) * p.slice + gl_LocalInvocationIndex, end = begin + p.slice;
    if (p.never == 1u) {
        for (uint i = begin; i < end; i += gl_WorkGroupSize.x) to[i] = uvec4(i);
        return;
    }
    uvec4 a = uvec4(0), b = uvec4(0);
    for (uint i = begin; i < end; i += 2u * gl_WorkGroupSize.x) {
        a += from[i];
        b += from[i + gl_WorkGroupSize.x];
    }
    a += b;
    if (a.x + a.y + a.z + a.w == p.never) to[0] = a;
}
