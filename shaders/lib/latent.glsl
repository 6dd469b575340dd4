// What mla_attention and its merge agree on: which cache rows a token sees, how they are split, and how its row is stored.
#ifndef VKS_LATENT
#define VKS_LATENT
#include "lib/group.glsl"
#include "lib/types.glsl"

layout(constant_id = 1) const uint O = F32;
layout(constant_id = 2) const uint HEADS = 1;
layout(constant_id = 3) const uint LORA = 1;
layout(constant_id = 4) const uint SPLITS = 1;
layout(constant_id = 5) const uint PIECE = 64;  // no split is smaller
const uint GROUPS = (LORA + 3u) / 4u;           // of four columns
const float LOWEST = -3.402823466e38;           // maximum of no scores

// Exactly 1 at 0, whatever the device makes of exp(0).
float decay(float x) { return x == 0.0 ? 1.0 : exp(x); }

// Rows [x, y) of the `rows` cache rows from `base` on that a span (first row, row count) covers, counted from base. The
// span may lie anywhere.
uvec2 seen(int first, int count, uint base, uint rows) {
    if (count <= 0) return uvec2(0);
    const uint last = first < 0 ? uint(max(first + count, 0)) : uint(first) + uint(count);
    const uint begin = clamp(uint(max(first, 0)), base, base + rows) - base;
    return uvec2(begin, max(begin, clamp(last, base, base + rows) - base));
}

// Rows of a split of that many: a whole number of pieces.
uint split_rows(uint rows) {
    const uint unit = SPLITS * PIECE;
    return (rows / unit + uint(rows % unit != 0u)) * PIECE;
}

uvec2 split_of(uvec2 range, uint split) {
    const uint rows = split_rows(range.y - range.x);
    return min(range.xx + uvec2(split, split + 1u) * rows, range.yy);
}

// Columns 4g ... 4g + 3 of a row of o, as far as there are such.
#define STORE_GROUP(words, row, g, v)                                                                      \
    {                                                                                                      \
        const uint at = (row) * LORA + 4u * (g), left = LORA - 4u * (g);                                   \
        if (LORA % 2u == 0u) {                                                                             \
            STORE2(O, words, at, (v).xy);                                                                  \
            if (left > 2u) STORE2(O, words, at + 2u, (v).zw);                                              \
        } else {                                                                                           \
            for (uint e = 0; e < min(left, 4u); ++e) STORE1(O, words, at + e, (v)[e]);                     \
        }                                                                                                  \
    }
#endif
