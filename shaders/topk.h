// topk's push constants.
#include "lib/host.h"
VKS_PUSH
struct TopkPush {
    uint rows, columns, segments, k;
};
VKS_PUSH_END
