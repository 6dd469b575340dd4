//! op       gemm/1, fp8_gemm/1   y[T,N] = x[T,K] w[N,K]^T. Bound: bytes of w for few rows of x, else arithmetic.
//! variant  subgroup subgroup_int64 coopmat coopmat_float8
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef COOPMAT
#include "lib/matrix.glsl"
#else
#include "lib/tile.glsl"
#endif
#include "gemm.h"

layout(push_constant) uniform Push { GemmPush p; };

uint x_row(uint r) { return r; }

// Neighbouring groups take the same rows of w: they come out of a cache for all but the first.
void main() {
    const uint group = group_index();
    if (group >= p.groups) return;
    job = Job(p.n, p.k, 0u, p.k, 0u, p.scaled_from, p.scaled_from, p.y_stride);
    const uint first = group % p.tiles * AT_ONCE;
    multiply(group / p.tiles, first, min(p.rows, first + AT_ONCE));
}
