// mla_attention's push constants. A dispatch sees some tokens and a part of the cache.
#include "lib/host.h"
VKS_PUSH
struct MlaAttentionPush {
    uint rows;                    // tokens * heads
    uint first_token;             // where they begin in span
    uint cache_first, cache_rows; // of the part bound
    uint part;
    float scale;
};
struct MlaAttentionMergePush {
    uint rows, first_token;
    uint cache_rows, part_rows;  // all, and of a part (the last one may have fewer)
};
VKS_PUSH_END
