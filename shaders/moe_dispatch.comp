//! op       moe_dispatch/1   lists of the experts [first, first + count): a counting sort of the pairs (t, j) by expert.
//!          Each list is made by itself, from all pairs, so that no list waits for another: by a workgroup whose invocations
//!          take a slice of the pairs each, or (SERIAL) by one invocation, its neighbours reading the same pairs for theirs.
//!          Bound: cache bandwidth, 8 * pairs * count bytes.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/group.glsl"
#include "moe_dispatch.h"

layout(constant_id = 1) const bool SERIAL = false;
layout(binding = 0) readonly buffer IdxBuffer { int idx[]; };
layout(binding = 1) buffer OffsetBuffer { uint offset[]; };
layout(binding = 2) buffer RowBuffer { uint row[]; };
layout(binding = 3) buffer PosBuffer { uint pos[]; };
layout(push_constant) uniform Push { MoeDispatchPush p; };

shared uvec2 counts[gl_WorkGroupSize.x];

// The list of a pair; `count` is the one of pairs of other shards.
uint list_of(uint pair) {
    const int e = idx[pair];
    return e >= 0 && uint(e) >= p.first ? min(uint(e) - p.first, p.count) : p.count;
}

// Sum over the workgroup of counts.x, and over the invocations before this one of counts.y.
uvec2 gather(uvec2 mine) {
    if (SERIAL) return uvec2(mine.x, 0);
    counts[gl_LocalInvocationIndex] = mine;
    barrier();
    uvec2 sum = uvec2(0);
    for (uint i = 0; i < gl_WorkGroupSize.x; ++i)
        sum += uvec2(counts[i].x, i < gl_LocalInvocationIndex ? counts[i].y : 0u);
    return sum;
}

void main() {
    const uint me = gl_LocalInvocationIndex;
    const uint list = SERIAL ? group_index() * gl_WorkGroupSize.x + me : group_index();
    if (list > p.count) return;
    const uint slice = SERIAL ? p.pairs : (p.pairs + gl_WorkGroupSize.x - 1u) / gl_WorkGroupSize.x;
    const uint begin = SERIAL ? 0u : min(me * slice, p.pairs), end = min(begin + slice, p.pairs);
    uvec2 mine = uvec2(0);  // pairs of lists before this one, and of this one
    for (uint pair = begin; pair < end; ++pair) {
        const uint l = list_of(pair);
        mine += uvec2(l < list, l == list);
    }
    const uvec2 before = gather(mine);
    if (SERIAL || me == 0u) offset[list] = before.x;
    uint place = before.x + before.y;
    for (uint pair = begin; pair < end; ++pair) {
        if (list_of(pair) != list) continue;
        pos[pair] = list < p.count ? place : 0xffffffffu;
        if (list < p.count) row[place++] = pair / p.chosen;
    }
}
