// Elements of tensors whose type is a specialization constant. Every buffer is an array of words, so that no device needs
// 8- or 16-bit storage. The numbers are the ABI's (backend/abi/plugin.h).
#ifndef VKS_TYPES
#define VKS_TYPES
const uint F32 = 1, BF16 = 2, F16 = 3, F8 = 4;

// The word that holds element i.
uint word_of(uint type, uint i) { return type == F32 ? i : type == F8 ? i >> 2 : i >> 1; }

// Element i out of its word. Not for F8: lib/fp8.glsl.
float from_word(uint type, uint word, uint i) {
    if (type == F32) return uintBitsToFloat(word);
    const uint bits = (i & 1u) == 0u ? word & 0xffffu : word >> 16;
    if (type == BF16) return uintBitsToFloat(bits << 16);
    return unpackHalf2x16(bits).x;
}

// To the nearest bf16, ties to even; NaN stays NaN.
uint to_bf16(float x) {
    const uint bits = floatBitsToUint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

#define LOAD(type, words, i) from_word(type, words[word_of(type, i)], i)

// Elements i and i + 1 of an f32 or bf16 tensor, i even.
#define STORE2(type, words, i, v)                                        \
    {                                                                    \
        if ((type) == F32) {                                             \
            words[i] = floatBitsToUint((v).x);                           \
            words[(i) + 1u] = floatBitsToUint((v).y);                    \
        } else {                                                         \
            words[(i) >> 1] = to_bf16((v).x) | to_bf16((v).y) << 16;     \
        }                                                                \
    }

// One element. Of a bf16 pair each half has one writer, which must leave the other half alone: hence two atomics. For
// rows of an odd length and last elements only.
#define STORE1(type, words, i, v)                                                          \
    {                                                                                      \
        if ((type) == F32) {                                                               \
            words[i] = floatBitsToUint(v);                                                 \
        } else {                                                                           \
            const uint shift = ((i) & 1u) << 4;                                            \
            atomicAnd(words[(i) >> 1], 0xffff0000u >> shift);                              \
            atomicOr(words[(i) >> 1], to_bf16(v) << shift);                                \
        }                                                                                  \
    }
#endif
