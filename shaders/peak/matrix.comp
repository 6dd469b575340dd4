//! peak     products of f16 by cooperative matrices, summed in f32; a workgroup is a subgroup
//! needs    coopmat
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/group.glsl"
#include "peak.h"

layout(constant_id = 1) const uint TM = 16;
layout(constant_id = 2) const uint TN = 16;
layout(constant_id = 3) const uint TK = 16;
layout(push_constant) uniform Push { PeakPush p; };
layout(binding = 0) buffer Result { uint result[]; };

void main() {
    if (group_index() >= p.groups) return;
    coopmat<float16_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA> a =
        coopmat<float16_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA>(float16_t(p.size));
    coopmat<float16_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> b =
        coopmat<float16_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB>(float16_t(p.slice));
    coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> sum[4];
    [[unroll]] for (uint j = 0; j < 4u; ++j) sum[j] = coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>(float(j));
    for (uint i = 0; i < p.size; ++i)
        [[unroll]] for (uint j = 0; j < 4u; ++j) sum[j] = coopMatMulAdd(a, b, sum[j]);
    [[unroll]] for (uint j = 0; j < 4u; ++j)
        if (floatBitsToUint(sum[j][0]) == p.never) result[0] = j;
}
