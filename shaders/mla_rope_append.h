// mla_rope_append's push constants. The cache comes in parts: rows [first_slot, first_slot + slots) of it are bound.
#include "lib/host.h"
VKS_PUSH
struct MlaRopeAppendPush {
    uint rows, heads, nope, rope, lora, first_slot, slots;
    float eps;
};
VKS_PUSH_END
