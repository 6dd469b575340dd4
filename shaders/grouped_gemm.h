// grouped_gemm's push constants.
#include "lib/host.h"
VKS_PUSH
struct GroupedGemmPush {
    uint x_rows, y_rows, n, k;
    uint experts, expert;  // how many; without addresses, which one this dispatch is for
    uint listed;           // not 0: row of x by `row`
    uint shares, slots;    // of w's rows; of the list
    uint span;             // rows of the list a slot looks after
};
VKS_PUSH_END
