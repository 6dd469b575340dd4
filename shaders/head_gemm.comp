//! op       head_gemm/1, EXPAND   y[t,h,i] = sum_c x[t,h,c] w[h*(nope+v)+nope+i, c]: gemm per head. Bound: as gemm's.
//! variant  subgroup subgroup_int64
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/gemm.glsl"
#include "head_gemm.h"

layout(push_constant) uniform Push { HeadGemmPush p; };

uint x_row(uint r) { return r; }

// A group: some rows of x, times a share of a head's rows of w.
void main() {
    const uint group = group_index(), head = group / p.tiles / p.shares;
    if (head >= p.heads) return;
    const uint first = group % p.tiles * TOKENS, w_from = head * (p.nope + p.v) + p.nope;
    job = Job(p.v, p.lora, head * p.lora, p.heads * p.lora, w_from, w_from, head * p.v, p.heads * p.v);
    products(group / p.tiles % p.shares, first, min(p.rows, first + TOKENS));
}
