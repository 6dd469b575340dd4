// moe_route's push constants.
#include "lib/host.h"
VKS_PUSH
struct MoeRoutePush {
    uint rows, groups_kept, top_k, normalize;
    float scaling;
};
VKS_PUSH_END
