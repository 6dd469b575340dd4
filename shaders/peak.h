// Push constants of what measures a device's best (vks.probe/1).
#include "lib/host.h"
VKS_PUSH
struct PeakPush {
    uint groups;  // that have work
    uint size;    // of read: elements of the buffer; else rounds of each chain
    uint slice;   // of read: elements a group takes
    uint never;   // a result that doesn't come about, which no compiler knows; of read: 1 to write instead
};
VKS_PUSH_END
