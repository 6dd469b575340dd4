//! op       topk/1   the k largest of each row, descending. One workgroup per segment of a row, k times the best of what
//!          comes after the last; where a row has several segments their lists are rows of a second dispatch (MAPPED).
//!          Bound: k readings of the row out of the cache.
//! variant  subgroup
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/order.glsl"
#include "lib/reduce.glsl"
#include "topk.h"

layout(constant_id = 1) const bool MAPPED = false;
layout(binding = 0) readonly buffer XBuffer { uint x[]; };
layout(binding = 1) readonly buffer FromBuffer { uint from[]; };  // MAPPED: indices that x's elements had, kNone: no element
layout(binding = 2) buffer ValueBuffer { uint value[]; };
layout(binding = 3) buffer IndexBuffer { uint index[]; };
layout(push_constant) uniform Push { TopkPush p; };

const uint kNone = 0xffffffffu;

void main() {
    const uint group = group_index(), me = gl_LocalInvocationIndex;
    if (group >= p.rows * p.segments) return;
    const uint row = group / p.segments * p.columns, size = (p.columns + p.segments - 1u) / p.segments;
    const uint begin = min(group % p.segments * size, p.columns), end = min(begin + size, p.columns);
    uint last_rank = kNone, last = 0;
    for (uint j = 0; j < p.k; ++j) {
        uint best_rank = 0, best = kNone;
        for (uint i = begin + me; i < end; i += gl_WorkGroupSize.x) {
            if (MAPPED && from[row + i] == kNone) continue;
            const uint rank = rank_of(x[row + i]);
            if (comes_before(last_rank, last, rank, i) && comes_before(rank, i, best_rank, best)) {
                best_rank = rank;
                best = i;
            }
        }
        last_rank = team_max(best_rank);
        last = ~team_max(best_rank == last_rank ? ~best : 0u);
        if (me == 0u) {  // no continue: the others meet in what comes next
            value[group * p.k + j] = last == kNone ? 0u : x[row + last];
            index[group * p.k + j] = MAPPED && last != kNone ? from[row + last] : last;
        }
    }
}
