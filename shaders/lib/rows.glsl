// A workgroup and a run of elements that it writes.
#ifndef VKS_ROWS
#define VKS_ROWS
#include "lib/group.glsl"
#include "lib/types.glsl"

// Elements [first, first + n) of an f32 or bf16 tensor, VALUE(i) for i in [0, n). Each word has one writer, but for those
// at the ends of a run that begins or ends in the middle of one.
#define STORE_RUN(type, words, first, n, VALUE)                                                            \
    for (uint at = ((first) & ~1u) + 2u * gl_LocalInvocationIndex; at < (first) + (n); at += 2u * gl_WorkGroupSize.x) { \
        const bool low = at >= (first), high = at + 1u < (first) + (n);                                    \
        vec2 pair = vec2(0);                                                                               \
        if (low) pair.x = VALUE(at - (first));                                                             \
        if (high) pair.y = VALUE(at + 1u - (first));                                                       \
        if (low && high) {                                                                                 \
            STORE2(type, words, at, pair)                                                                  \
        } else if (low) {                                                                                  \
            STORE1(type, words, at, pair.x)                                                                \
        } else {                                                                                           \
            STORE1(type, words, at + 1u, pair.y)                                                           \
        }                                                                                                  \
    }
#endif
