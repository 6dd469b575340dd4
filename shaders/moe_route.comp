//! op       moe_route/1   sigmoid scores, bias for selection only, group-limited top-k; one workgroup per token.
//!          An expert is chosen when fewer than top_k come before it: E^2 comparisons in shared memory and no reduction.
//!          Bound: latency (E = 256: some 1000 shared loads an invocation).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/group.glsl"
#include "lib/order.glsl"
#include "moe_route.h"

layout(constant_id = 1) const uint EXPERTS = 1;
layout(constant_id = 2) const uint GROUPS = 1;
layout(binding = 0) readonly buffer LogitsBuffer { float logits[]; };
layout(binding = 1) readonly buffer BiasBuffer { float bias[]; };
layout(binding = 2) buffer IdxBuffer { uint idx[]; };
layout(binding = 3) buffer WeightBuffer { float weight[]; };
layout(push_constant) uniform Push { MoeRoutePush p; };

const uint kSize = EXPERTS / GROUPS;
shared float score[EXPERTS];
shared float biased[EXPERTS];
shared uint rank[EXPERTS];  // of biased; experts of dropped groups are never asked
shared uint group_rank[GROUPS];
shared uint kept[GROUPS];
shared uint chosen[EXPERTS];

#define EACH(i, n) for (uint i = gl_LocalInvocationIndex; i < n; i += gl_WorkGroupSize.x)

// A NaN stays one: exp() makes something else of it on SwiftShader.
float sigmoid(float x) { return rank_of(floatBitsToUint(x)) == 0u ? x : 1.0 / (1.0 + exp(-x)); }

// A NaN leaves the best as they are, and the second best becomes the best: as the plain version on the CPU.
float sum_of_two_best(uint from) {
    float first = uintBitsToFloat(0xff800000u), second = first;
    for (uint i = from; i < from + kSize; ++i) {
        const float v = biased[i], low = v < first ? v : first;
        second = second < low ? low : second;
        first = first < v ? v : first;
    }
    return kSize > 1u ? first + second : first;
}

bool group_stays(uint g) {
    uint before = 0;
    for (uint i = 0; i < GROUPS; ++i) before += comes_before(group_rank[i], i, group_rank[g], g) ? 1u : 0u;
    return before < p.groups_kept;
}

bool is_chosen(uint e) {
    if (kept[e / kSize] == 0u) return false;
    uint before = 0;
    for (uint g = 0; g < GROUPS; ++g) {
        if (kept[g] == 0u) continue;
        for (uint i = g * kSize; i < (g + 1u) * kSize; ++i) before += comes_before(rank[i], i, rank[e], e) ? 1u : 0u;
    }
    return before < p.top_k;
}

void main() {
    const uint t = group_index();
    if (t >= p.rows) return;
    EACH(e, EXPERTS) {
        score[e] = sigmoid(logits[t * EXPERTS + e]);
        biased[e] = score[e] + bias[e];
        rank[e] = rank_of(floatBitsToUint(biased[e]));
    }
    barrier();
    EACH(g, GROUPS) group_rank[g] = rank_of(floatBitsToUint(sum_of_two_best(g * kSize)));
    barrier();
    EACH(g, GROUPS) kept[g] = group_stays(g) ? 1u : 0u;
    barrier();
    EACH(e, EXPERTS) chosen[e] = is_chosen(e) ? 1u : 0u;
    barrier();
    float sum = 0;
    for (uint e = 0; e < EXPERTS; ++e) sum += chosen[e] == 1u ? score[e] : 0.0;
    const float factor = p.normalize != 0u ? p.scaling / (sum + 1e-20) : p.scaling;
    EACH(e, EXPERTS) {
        if (chosen[e] == 0u) continue;
        uint place = t * p.top_k;
        for (uint i = 0; i < e; ++i) place += chosen[i];
        idx[place] = e;
        weight[place] = score[e] * factor;
    }
}
