//! peak     fused multiply-adds of f16, by pairs
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "peak/chains.glsl"

#define STEP(v) fma(v, f16vec2(0.999), f16vec2(0.001))

void main() { RUN_CHAINS(f16vec2, float, STEP, packFloat2x16) }
