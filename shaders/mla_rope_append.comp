//! op       mla_rope_append/1   cache[slot[t]] = [rms_norm(kv[t,:lora]) * w ; R_t kv[t,lora:]], q_pe[t,h] = R_t q[t,h,nope:].
//!          A workgroup per token writes the cache entry (z = 0), others rotate the queries. Bound: memory bandwidth.
//! variant  subgroup
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/norm.glsl"
#include "lib/rows.glsl"
#include "mla_rope_append.h"

layout(constant_id = 1) const uint Q = F32;
layout(constant_id = 2) const uint KV = F32;
layout(constant_id = 3) const uint W = F32;
layout(constant_id = 4) const uint CACHE = F32;
layout(constant_id = 5) const uint Q_PE = F32;
layout(binding = 0) readonly buffer QBuffer { uint q[]; };
layout(binding = 1) readonly buffer KvBuffer { uint kv[]; };
layout(binding = 2) readonly buffer WBuffer { uint w[]; };
layout(binding = 3) readonly buffer TableBuffer { float table[]; };
layout(binding = 4) readonly buffer SlotBuffer { uint slot[]; };
layout(binding = 5) buffer CacheBuffer { uint cache[]; };
layout(binding = 6) buffer QPeBuffer { uint q_pe[]; };
layout(push_constant) uniform Push { MlaRopeAppendPush p; };

uint t;
float inverse;

// The pair (a, b) turned by the angle of token t's pair number i / 2.  (RoFormer, eq. 34)
vec2 turned(float a, float b, uint i) {
    const float cosine = table[t * p.rope + i], sine = table[t * p.rope + i + 1u];
    return vec2(a * cosine - b * sine, a * sine + b * cosine);
}

float latent(uint i) { return LOAD(KV, kv, t * (p.lora + p.rope) + i); }

float entry(uint i) {
    if (i < p.lora) return latent(i) * inverse * LOAD(W, w, i);
    const uint j = i - p.lora, even = j & ~1u;
    const vec2 v = turned(latent(p.lora + even), latent(p.lora + even + 1u), even);
    return j == even ? v.x : v.y;
}

void append() {
    const uint row = slot[t] - p.first_slot, columns = p.lora + p.rope;
    if (row >= p.slots) return;  // outside the cache, or of another part of it
    INVERSE_RMS(inverse, latent, p.lora, p.eps)
    STORE_RUN(CACHE, cache, row * columns, columns, entry)
}

void rotate_queries() {
    const uint pairs = p.heads * p.rope / 2u, head = p.nope + p.rope;
    const uint stride = gl_WorkGroupSize.x * (gl_NumWorkGroups.z - 1u);
    for (uint n = (gl_WorkGroupID.z - 1u) * gl_WorkGroupSize.x + gl_LocalInvocationIndex; n < pairs; n += stride) {
        const uint h = 2u * n / p.rope, i = 2u * n - h * p.rope, at = (t * p.heads + h) * head + p.nope + i;
        const vec2 v = turned(LOAD(Q, q, at), LOAD(Q, q, at + 1u), i);
        STORE2(Q_PE, q_pe, t * p.heads * p.rope + 2u * n, v)
    }
}

void main() {
    t = group_index();
    if (t >= p.rows) return;
    if (gl_WorkGroupID.z == 0u) {
        append();
    } else {
        rotate_queries();
    }
}
