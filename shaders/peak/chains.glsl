// Chains of one instruction, none waiting for another: as many as hide its latency, few enough for the registers of CPUs.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/group.glsl"
#include "peak.h"

layout(push_constant) uniform Push { PeakPush p; };
layout(binding = 0) buffer Result { uint result[]; };
const uint CHAINS = 12;

// The end of every chain counts: none may be left out.
void use(uint value) {
    if (value == p.never) result[0] = value;
}

#define RUN_CHAINS(TYPE, START, STEP, BITS)                                                       \
    if (group_index() >= p.groups) return;                                                        \
    TYPE a[CHAINS];                                                                               \
    [[unroll]] for (uint j = 0; j < CHAINS; ++j) a[j] = TYPE(START(gl_LocalInvocationIndex + j)); \
    for (uint i = 0; i < p.size; ++i)                                                             \
        [[unroll]] for (uint j = 0; j < CHAINS; ++j) a[j] = STEP(a[j]);                           \
    [[unroll]] for (uint j = 0; j < CHAINS; ++j) use(BITS(a[j]));
