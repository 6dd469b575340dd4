// What the two forms of mla_attention have in common: lib/attend.glsl and, by matrices, lib/attend_matrix.glsl. Both give
// out the splits of a span as workgroups of their own (z), which leave maximum, sum and unnormalised o for the merge.
#ifndef VKS_ATTENTION
#define VKS_ATTENTION
#include "lib/latent.glsl"
#include "mla_attention.h"

layout(constant_id = 6) const uint ROPE = 2;
layout(binding = 0) readonly buffer QBuffer4 { uvec4 q4[]; };
layout(binding = 2) readonly buffer CBuffer4 { uvec4 c4[]; };
layout(binding = 3) readonly buffer SpanBuffer { int span[]; };
layout(binding = 4) buffer OBuffer { uint o[]; };
layout(binding = 5) buffer PartialBuffer { vec4 partial[]; };  // o of a split's row, unnormalised
layout(binding = 6) buffer StateBuffer { vec2 state[]; };      // its maximum and sum
layout(push_constant) uniform Push { MlaAttentionPush p; };

const uint WIDTH = LORA + ROPE;

// The cache rows of this workgroup's split that a token sees.
uvec2 token_range(uint token) {
    const uint at = 2u * (p.first_token + token);
    return split_of(seen(span[at], span[at + 1u], p.cache_first, p.cache_rows), gl_WorkGroupID.z);
}

// Where this workgroup's split leaves what it has of a row.
uint split_row(uint row) { return (p.part * SPLITS + gl_WorkGroupID.z) * p.rows + row; }
#endif
