//! peak     fused multiply-adds of f32
#version 450
#extension GL_GOOGLE_include_directive : require
#include "peak/chains.glsl"

#define STEP(v) fma(v, 0.999, 0.001)

void main() { RUN_CHAINS(float, float, STEP, floatBitsToUint) }
