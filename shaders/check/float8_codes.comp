//! check    value[m * STEP + k] = e4m3 code m * TK + k (NaN: 0), times one, by cooperative matrices of e4m3 (lib/matrix.glsl)
//! needs    float8
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_float_e4m3 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#include "lib/group.glsl"

layout(constant_id = 1) const uint TM = 16;
layout(constant_id = 2) const uint TN = 16;
layout(constant_id = 3) const uint TK = 16;
layout(binding = 0) buffer Value { float value[]; };
const uint STEP = TK > TN ? TK : TN, ROWS = 256 / TK;
const uint ONE = 0x38u;
shared uint codes[(ROWS > TM ? ROWS : TM) * TK / 4], ones[TN * TK / 4];

uint code(uint c) { return c < 256u && (c & 0x7fu) != 0x7fu ? c : 0u; }

void main() {
    const uint me = gl_LocalInvocationIndex, all = gl_WorkGroupSize.x;
    for (uint i = me; i < codes.length(); i += all)
        codes[i] = code(4u * i) | code(4u * i + 1u) << 8 | code(4u * i + 2u) << 16 | code(4u * i + 3u) << 24;
    // Columns of codes first ... first + TN, by ones where k = first + n.
    for (uint first = 0; first < TK; first += TN) {
        barrier();
        for (uint i = me; i < TN * TK / 4u; i += all) {
            const uint k = first + i / (TK / 4u), at = 4u * (i % (TK / 4u));
            ones[i] = k >= at && k < at + 4u ? ONE << 8u * (k - at) : 0u;
        }
        barrier();
        for (uint row = 0; row < ROWS; row += TM) {
            coopmat<floate4m3_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA> a;
            coopmat<floate4m3_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> b;
            coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator> sum =
                coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>(0.0);
            coopMatLoad(a, codes, row * TK / 4u, TK / 4u, gl_CooperativeMatrixLayoutRowMajor);
            coopMatLoad(b, ones, 0u, TK / 4u, gl_CooperativeMatrixLayoutColumnMajor);
            sum = coopMatMulAdd(a, b, sum);
            coopMatStore(sum, value, row * STEP + first, STEP, gl_CooperativeMatrixLayoutRowMajor);
        }
    }
}
