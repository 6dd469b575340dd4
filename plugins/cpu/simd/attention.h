// mla_attention of the vector variants: how the work is cut and put together again. Plain C++, no vector type.
//
// A token's cache rows are cut into splits, from the span's first row on; of how many rows follows from how many there
// are in all. A split's result stands alone: per head the largest score, the sum of exponentials and the unnormalised
// output. Every four are merged in ascending order, and what comes of them again. Who computes a split, and beside
// which others, changes nothing in that, so a token's bits depend on its span's rows alone.
#pragma once
#include "plugins/cpu/op.h"

namespace vks::cpu::simd {

// What a split leaves, or several merged ones.
struct Partial {
    float* maximum;  // [heads]
    float* sum;      // [heads]
    float* out;      // [heads, stride]
    int64_t stride;  // floats: lora, padded
};

// Memory that is read later, to be fetched meanwhile.
struct Later {
    const Range *range = nullptr, *end = nullptr;
    int64_t at = 0;

    // The next so many lines of 64 bytes; null: there are none. What is left of a range and less than that is left out.
    const std::byte* take(int64_t lines) {
        for (; range != end; ++range, at = 0) {
            if (at + lines * 64 > range->bytes) continue;
            const std::byte* from = range->data + at;
            at += lines * 64;
            return from;
        }
        return nullptr;
    }
};

// Some heads of one token against some rows of the cache.
struct Split {
    const std::byte* q_lat;  // [heads, lora]
    const std::byte* q_pe;   // [heads, rope]
    const std::byte* cache;  // [rows, lora + rope]
    uint32_t q_lat_dtype, q_pe_dtype, cache_dtype;
    int64_t heads, lora, rope, rows;
    float scale;
    Partial to;
    std::byte* scratch;  // AttentionKernels::scratch bytes, 64-byte aligned
    Later* later;
};

struct AttentionKernels {
    int64_t out_step;  // rows of `out` are padded to a multiple
    int64_t together;  // heads that aren't separated: fewer take as long
    uint64_t (*scratch)(int64_t heads, int64_t lora, int64_t rope);
    // Brings the queries of such splits into scratch, where split() then finds them.
    void (*queries)(const Split&);
    void (*split)(const Split&);
    // into = into + from, heads [0, heads).
    void (*merge)(const Partial& into, const Partial& from, int64_t heads);
    // o[h] = out / sum, f32 or bf16 [heads, lora].
    void (*finish)(const Partial& from, int64_t heads, int64_t lora, uint32_t dtype, std::byte* o);
};

uint64_t attention_scratch(const AttentionKernels& kernels, const Signature& s);
void attention(const AttentionKernels& kernels, const Call& call);

}  // namespace vks::cpu::simd
