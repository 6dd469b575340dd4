// rms_norm's push constants. y's rows are y_stride long and begin at y_column: mtp_merge fills two halves.
#include "lib/host.h"
VKS_PUSH
struct RmsNormPush {
    uint rows, columns, y_stride, y_column;
    float eps;
};
VKS_PUSH_END
