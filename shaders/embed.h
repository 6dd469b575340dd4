// embed's push constants. The table comes in parts: rows [first, end) of it are bound, and their rows of y written; the
// first part also writes those of no id.
#include "lib/host.h"
VKS_PUSH
struct EmbedPush {
    uint rows, columns, first, end, table_rows;
};
VKS_PUSH_END
