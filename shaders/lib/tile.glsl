// Matrix products by tiles of BM rows of x and BN of w, BK deep, in shared memory; each invocation makes 8 x 4 of y.
// multiply() takes this way when BM isn't 0, else that of lib/gemm.glsl.
#ifndef VKS_TILE
#define VKS_TILE
#include "lib/gemm.glsl"

layout(constant_id = 12) const uint BN = 4;
layout(constant_id = 13) const uint BK = 16;
// By k, then row; a vec4 more per k keeps writers of one column out of each other's banks.
const uint XS = BM / 4 + 1, WS = BN / 4 + 1;
shared vec4 xs[XS * BK], ws[WS * BK];

void load_x(uint first, uint last, uint begin) {
    for (uint i = gl_LocalInvocationIndex; i < BM * BK / 4u; i += gl_WorkGroupSize.x) {
        const uint r = i / (BK / 4u), at = 4u * (i % (BK / 4u)), k = begin + at;
        const uint row = first + r < last ? x_row(first + r) : NO_ROW;
        vec4 v = vec4(0);
        if (row != NO_ROW && k < job.k) v = x_quad(job.x_from + row * job.x_stride, k) * scale_of_x(row, k);
        [[unroll]] for (uint j = 0; j < 4u; ++j) xs[(at + j) * XS + r / 4u][r % 4u] = v[j];
    }
}

void load_w(uint n, uint begin) {
    for (uint i = gl_LocalInvocationIndex; i < BN * BK / CHUNK; i += gl_WorkGroupSize.x) {
        const uint r = i / (BK / CHUNK), at = CHUNK * (i % (BK / CHUNK)), k = begin + at;
        const bool there = n + r < job.n && k < job.k;
        uvec4 chunk = uvec4(0);
        if (there) chunk = w_chunk(n + r, k);
        const float scale = there ? scale_of_w(n + r, k) : 0.0;
        [[unroll]] for (uint q = 0; q < QUADS; ++q) {
            const vec4 v = w_quad(chunk, q) * scale;
            [[unroll]] for (uint j = 0; j < 4u; ++j) ws[(at + 4u * q + j) * WS + r / 4u][r % 4u] = v[j];
        }
    }
}

// Rows first ... of y (below `last`) times rows n ... of w.
void tile(uint n, uint first, uint last) {
    const uint column = gl_LocalInvocationIndex % (BN / 4u), row = gl_LocalInvocationIndex / (BN / 4u);
    vec4 sum[8];
    [[unroll]] for (uint i = 0; i < 8u; ++i) sum[i] = vec4(0);
    for (uint begin = 0; begin < job.k; begin += BK) {
        barrier();
        load_x(first, last, begin);
        load_w(n, begin);
        barrier();
        for (uint k = 0; k < BK; ++k) {
            const vec4 b = ws[k * WS + column], a0 = xs[k * XS + 2u * row], a1 = xs[k * XS + 2u * row + 1u];
            [[unroll]] for (uint i = 0; i < 4u; ++i) {
                sum[i] += a0[i] * b;
                sum[4u + i] += a1[i] * b;
            }
        }
    }
    [[unroll]] for (uint i = 0; i < 8u; ++i) {
        const uint r = first + 8u * row + i;
        if (r >= last) break;
        if (x_row(r) == NO_ROW) sum[i] = vec4(0);
        put(r, n + 4u * column, sum[i].xy);
        put(r, n + 4u * column + 2u, sum[i].zw);
    }
}

// Rows of y that multiply() makes at once.
const uint AT_ONCE = BM != 0 ? BM : TOKENS;

// Rows [first, last) of y, at most AT_ONCE, times one of the equal shares that w's rows are cut into for workgroups.
void multiply(uint share, uint first, uint last) {
    if (BM != 0) {
        tile(share * BN, first, last);
    } else {
        products(share, first, last);
    }
}
#endif
