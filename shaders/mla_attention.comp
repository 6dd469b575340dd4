//! op       mla_attention/1   o = softmax(scale * (q_lat c + q_pe k)) c over the cache rows of each token's span
//! variant  coopmat
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef COOPMAT
#include "lib/attend_matrix.glsl"
#else
#include "lib/attend.glsl"
#endif

void main() { attend(); }
