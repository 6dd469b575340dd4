// rms_norm's push constants.
#include "lib/host.h"
VKS_PUSH
struct RmsNormPush {
    uint rows, columns;
    float eps;
};
VKS_PUSH_END
