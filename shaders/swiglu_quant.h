// swiglu_quant's push constants.
#include "lib/host.h"
VKS_PUSH
struct SwigluQuantPush {
    uint rows, columns, run;
};
VKS_PUSH_END
