//! op       moe_combine/1   out[t] = base[t] + sum_j weight[t,j] * y[pos[t,j]], j ascending; one workgroup per row.
//!          Bound: memory bandwidth (K + 2 rows a token).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/rows.glsl"
#include "moe_combine.h"

layout(constant_id = 1) const uint Y = F32;
layout(constant_id = 2) const uint BASE = 0;  // 0: none
layout(constant_id = 3) const uint OUT = F32;
// y in up to four parts of part_rows: T*K rows can be more than a binding holds.
layout(binding = 0) readonly buffer Y0Buffer { uint y0[]; };
layout(binding = 1) readonly buffer Y1Buffer { uint y1[]; };
layout(binding = 2) readonly buffer Y2Buffer { uint y2[]; };
layout(binding = 3) readonly buffer Y3Buffer { uint y3[]; };
layout(binding = 4) readonly buffer PosBuffer { uint pos[]; };
layout(binding = 5) readonly buffer WeightBuffer { float weight[]; };
layout(binding = 6) readonly buffer BaseBuffer { uint base[]; };
layout(binding = 7) buffer OutBuffer { uint result[]; };
layout(push_constant) uniform Push { MoeCombinePush p; };

uint t;

float element_of(uint r, uint i) {
    const uint part = r / p.part_rows, at = (r - part * p.part_rows) * p.columns + i;
    if (part == 0u) return LOAD(Y, y0, at);
    if (part == 1u) return LOAD(Y, y1, at);
    if (part == 2u) return LOAD(Y, y2, at);
    return LOAD(Y, y3, at);
}

float element(uint i) {
    float sum = 0;
    if (BASE != 0u) sum = LOAD(BASE, base, t * p.columns + i);
    for (uint j = t * p.chosen; j < (t + 1u) * p.chosen; ++j) {
        if (pos[j] < p.y_rows) sum += weight[j] * element_of(pos[j], i);  // -1 is large here
    }
    return sum;
}

void main() {
    t = group_index();
    if (t >= p.rows) return;
    STORE_RUN(OUT, result, t * p.columns, p.columns, element)
}
