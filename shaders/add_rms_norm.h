// add_rms_norm's push constants.
#include "lib/host.h"
VKS_PUSH
struct AddRmsNormPush {
    uint rows, columns;
    float eps;
};
VKS_PUSH_END
