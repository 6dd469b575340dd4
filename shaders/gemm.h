// gemm's push constants.
#include "lib/host.h"
VKS_PUSH
struct GemmPush {
    uint rows, n, k;       // of x and y, of w, of both
    uint scaled_from;      // which row of the whole w the bound part begins with
    uint y_stride, tiles;  // tiles: pieces that the rows of x are cut into
    uint groups;
};
VKS_PUSH_END
