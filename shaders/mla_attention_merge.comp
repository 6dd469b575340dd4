//! op       mla_attention/1   merges what the splits of a row left: o = sum_k e^(m_k - m) o_k / sum_k e^(m_k - m) l_k
// One workgroup per row. Bound: memory bandwidth, 4 * LORA bytes per row and split.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/latent.glsl"
#include "mla_attention.h"

layout(constant_id = 6) const uint PARTS = 1;
layout(binding = 0) readonly buffer SpanBuffer { int span[]; };
layout(binding = 1) readonly buffer PartialBuffer { vec4 partial[]; };
layout(binding = 2) readonly buffer StateBuffer { vec2 state[]; };
layout(binding = 3) buffer OBuffer { uint o[]; };
layout(push_constant) uniform Push { MlaAttentionMergePush p; };

// Splits that part k of the cache has of this row.
uint splits_of(uint part, uint row) {
    const uint at = 2u * (p.first_token + row / HEADS), first = min(part * p.part_rows, p.cache_rows);
    const uvec2 range = seen(span[at], span[at + 1u], first, min(p.part_rows, p.cache_rows - first));
    const uint rows = split_rows(range.y - range.x);
    return rows == 0u ? 0u : (range.y - range.x + rows - 1u) / rows;
}

void main() {
    const uint row = group_index();
    if (row >= p.rows) return;
    float highest = LOWEST, sum = 0;
    for (uint part = 0; part < PARTS; ++part)
        for (uint k = 0; k < splits_of(part, row); ++k) highest = max(highest, state[(part * SPLITS + k) * p.rows + row].x);
    bool any = false;
    for (uint part = 0; part < PARTS; ++part) {
        for (uint k = 0; k < splits_of(part, row); ++k) {
            const vec2 end = state[(part * SPLITS + k) * p.rows + row];
            sum += decay(end.x - highest) * end.y;
            any = true;
        }
    }
    for (uint g = gl_LocalInvocationIndex; g < GROUPS; g += gl_WorkGroupSize.x) {
        vec4 v = vec4(0);
        for (uint part = 0; part < PARTS; ++part) {
            for (uint k = 0; k < splits_of(part, row); ++k) {
                const uint at = (part * SPLITS + k) * p.rows + row;
                v += decay(state[at].x - highest) * partial[at * GROUPS + g];
            }
        }
        const vec4 y = any ? v / sum : vec4(0);
        STORE_GROUP(o, row, g, y);
    }
}
