//! op       embed/1   y[t] = table[ids[t]], zeros for an id outside; one workgroup per row. Bound: memory bandwidth.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/rows.glsl"
#include "embed.h"

layout(constant_id = 1) const uint TABLE = F32;
layout(constant_id = 2) const uint Y = F32;
layout(binding = 0) readonly buffer IdsBuffer { uint ids[]; };
layout(binding = 1) readonly buffer TableBuffer { uint table[]; };
layout(binding = 2) buffer YBuffer { uint y[]; };
layout(push_constant) uniform Push { EmbedPush p; };

uint from;

float element(uint i) { return LOAD(TABLE, table, from + i); }
float zero(uint i) { return 0; }

void main() {
    const uint t = group_index();
    if (t >= p.rows) return;
    const uint id = ids[t];  // negative ones are large here
    if (id >= p.first && id < p.end) {
        from = (id - p.first) * p.columns;
        STORE_RUN(Y, y, t * p.columns, p.columns, element)
    } else if (p.first == 0u && id >= p.table_rows) {
        STORE_RUN(Y, y, t * p.columns, p.columns, zero)
    }
}
