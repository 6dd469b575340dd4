// Reductions over a workgroup, whose size is a power of two. SUBGROUP: by subgroup operations, without shared memory when
// the workgroup is one subgroup. The result is the same for all invocations of the workgroup, which must all call it.
#ifndef VKS_REDUCE
#define VKS_REDUCE
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif
#include "lib/group.glsl"

#ifdef SUBGROUP
#define TEAM_FOLD(NAME, PARTS, TYPE, ACROSS, FOLD)                                  \
    shared TYPE PARTS[gl_WorkGroupSize.x];                                          \
    TYPE NAME(TYPE v) {                                                             \
        v = ACROSS(v);                                                              \
        if (gl_NumSubgroups == 1u) return v;                                        \
        if (gl_SubgroupInvocationID == 0u) PARTS[gl_SubgroupID] = v;                \
        barrier();                                                                  \
        TYPE whole = PARTS[0];                                                      \
        for (uint i = 1; i < gl_NumSubgroups; ++i) whole = FOLD(whole, PARTS[i]);   \
        barrier();                                                                  \
        return whole;                                                               \
    }
#else
#define TEAM_FOLD(NAME, PARTS, TYPE, ACROSS, FOLD)                                            \
    shared TYPE PARTS[gl_WorkGroupSize.x];                                                    \
    TYPE NAME(TYPE v) {                                                                       \
        const uint me = gl_LocalInvocationIndex;                                              \
        if (gl_WorkGroupSize.x == 1u) return v;                                               \
        PARTS[me] = v;                                                                        \
        barrier();                                                                            \
        for (uint half_size = gl_WorkGroupSize.x / 2; half_size > 0u; half_size /= 2u) {      \
            if (me < half_size) PARTS[me] = FOLD(PARTS[me], PARTS[me + half_size]);           \
            barrier();                                                                        \
        }                                                                                     \
        const TYPE whole = PARTS[0];                                                          \
        barrier();                                                                            \
        return whole;                                                                         \
    }
#endif

float plus(float a, float b) { return a + b; }

TEAM_FOLD(team_sum, team_sums, float, subgroupAdd, plus)
TEAM_FOLD(team_max, team_maxima, uint, subgroupMax, max)
#endif
