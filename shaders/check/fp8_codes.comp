//! check    value[c] = e4m3 code c, decoded through f16 (lib/fp8.glsl, HALF): does this device do it right?
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/fp8.glsl"
#include "lib/group.glsl"

layout(binding = 0) buffer Value { vec4 value[]; };

void main() {
    const uint i = gl_GlobalInvocationID.x;
    if (i < 64u) value[i] = f8_quad(0x03020100u + 0x04040404u * i) * F8_UNIT;
}
