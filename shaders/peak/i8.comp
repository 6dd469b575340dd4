//! peak     products of four 8-bit integers, summed in 32 bits by one instruction (SPV_KHR_integer_dot_product)
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_spirv_intrinsics : require
#include "peak/chains.glsl"

// OpSDot by words: GLSL's own name for it is younger than many compilers. Format 0: 4 x 8 bits.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int dot4(int a, int b, spirv_literal int format);

#define STEP(v) (dot4(v, 0x03010201, 0) + v)

void main() { RUN_CHAINS(int, int, STEP, uint) }
