// act_quant's push constants.
#include "lib/host.h"
VKS_PUSH
struct ActQuantPush {
    uint rows, columns, ue8m0;
};
VKS_PUSH_END
