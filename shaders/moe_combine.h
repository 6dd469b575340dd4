// moe_combine's push constants.
#include "lib/host.h"
VKS_PUSH
struct MoeCombinePush {
    uint rows, columns, chosen, y_rows, part_rows;
};
VKS_PUSH_END
