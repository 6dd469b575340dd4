// moe_dispatch's push constants. pairs = T * chosen.
#include "lib/host.h"
VKS_PUSH
struct MoeDispatchPush {
    uint pairs, chosen, first, count;
};
VKS_PUSH_END
