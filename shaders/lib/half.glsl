// Cooperative matrices of f16 from tensors of bf16, whose range is larger and whose mantissa is shorter: what shares a
// matrix is multiplied by the power of two that brings its largest finite element to 2^14. That rounds nothing that is up
// to 2^31 times smaller. Powers go by their exponent, biased as in f32: that of the largest element.
#ifndef VKS_HALF
#define VKS_HALF
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_control_flow_attributes : require

uint most_of(uvec4 v) { return max(max(v.x, v.y), max(v.z, v.w)); }

// Of a chunk of bf16 the largest magnitude, about: as bits of f32, right in the exponent.
uint peak_of(uvec4 chunk) { return max(most_of(chunk & 0x7fffffffu), most_of(chunk & 0x7fffu) << 16); }

// The same of the finite ones. In other words, so that compilers don't keep all those of peak_of for it.
uint finite_peak_of(uvec4 chunk) {
    const uvec4 high = chunk << 1, low = chunk << 17, infinity = uvec4(0xff000000u);
    return max(most_of(mix(high, uvec4(0), greaterThanEqual(high, infinity))),
               most_of(mix(low, uvec4(0), greaterThanEqual(low, infinity)))) >> 1;
}

// most = the largest of chunks of bf16, or of those in it that are finite.
#define PEAK(chunks, loads, most)                                                                        \
    {                                                                                                    \
        [[unroll]] for (uint i = 0; i < loads; ++i) most = max(most, peak_of(chunks[i]));                \
        if (most >= 0x7f800000u) {                                                                       \
            most = 0;                                                                                    \
            [[unroll]] for (uint i = 0; i < loads; ++i) most = max(most, finite_peak_of(chunks[i]));     \
        }                                                                                                \
    }

float power(uint biased) { return uintBitsToFloat(biased << 23); }
// 2^14 over 2^(exponent - 127), and back.
float up(uint exponent) { return power(268u - exponent); }
float down(uint exponent) { return power(exponent - 14u); }
float shrink(uint steps) { return power(127u - min(steps, 127u)); }

uint half_pair(vec2 v) { return packFloat2x16(f16vec2(v)); }
uint from_bf16(uint word, float by) { return half_pair(uintBitsToFloat(uvec2(word << 16, word & 0xffff0000u)) * by); }
#endif
