// head_gemm's push constants: vks_head_gemm_params without the mode, and the rows of x.
#include "lib/host.h"
VKS_PUSH
struct HeadGemmPush {
    uint rows, heads, nope, rope, v, lora;
    uint tiles, shares;  // pieces of the rows of x, and of a head's rows (ABSORB: columns) of w
};
VKS_PUSH_END
