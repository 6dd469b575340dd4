// Sums over a workgroup, whose size is a power of two. SUBGROUP: by subgroup operations, without shared memory when the
// workgroup is one subgroup.
#ifndef VKS_REDUCE
#define VKS_REDUCE
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif
#include "lib/group.glsl"

shared float team[gl_WorkGroupSize.x];

// The same for all invocations of the workgroup, which must all call it.
float team_sum(float v) {
    const uint me = gl_LocalInvocationIndex;
#ifdef SUBGROUP
    v = subgroupAdd(v);
    if (gl_NumSubgroups == 1u) return v;
    if (gl_SubgroupInvocationID == 0u) team[gl_SubgroupID] = v;
    barrier();
    float sum = 0;
    for (uint i = 0; i < gl_NumSubgroups; ++i) sum += team[i];
    barrier();
    return sum;
#else
    if (gl_WorkGroupSize.x == 1u) return v;
    team[me] = v;
    barrier();
    for (uint half_size = gl_WorkGroupSize.x / 2; half_size > 0u; half_size /= 2u) {
        if (me < half_size) team[me] += team[me + half_size];
        barrier();
    }
    const float sum = team[0];
    barrier();
    return sum;
#endif
}
#endif
