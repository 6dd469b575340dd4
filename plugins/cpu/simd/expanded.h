// mla_expanded of the vector variants: the order of its products. Plain C++, no vector type.
//
// A head's keys and values are formed kKeys cache rows at a time, and all tokens of an item meet them before the next
// are: scores [kTokens, kKeys], their softmax with a running maximum, the weighted sum of the values. An item is a head
// and, where there are more threads than heads, some of the tokens.
#pragma once
#include "plugins/cpu/op.h"
#include "plugins/cpu/simd/gemm.h"

namespace vks::cpu::simd {

// A token's scores of some keys, and what becomes of them.
struct Weighing {
    const float* scores;  // [keys]
    int64_t keys;         // at least one
    float scale;
    float* maximum;  // running; -inf at first
    float* sum;      // running, of the weights as they are rounded
    void* weights;   // [keys]: e^(scale * score - maximum)
};

struct ExpandedKernels {
    // Products with kv_b, and with keys and values, which have the activations' dtype.
    const GemmKernels* (*expand)(uint32_t x_dtype, uint32_t w_dtype);
    // Weights in f32 or bf16. Returns what is left of sums of before: e^(maximum before - maximum).
    float (*weigh)(const Weighing& w, uint32_t dtype);
    // to = to * shrink + from
    void (*accumulate)(float* to, const float* from, int64_t n, float shrink);
    // to[i] = from[i] / sum, f32 or bf16
    void (*finish)(const float* from, int64_t n, float sum, void* to, uint32_t dtype);
};

uint64_t expanded_scratch(const ExpandedKernels& kernels, const Signature& s);
void expanded(const ExpandedKernels& kernels, const Call& call);

}  // namespace vks::cpu::simd
