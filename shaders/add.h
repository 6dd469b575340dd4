// add's push constants.
#include "lib/host.h"
VKS_PUSH
struct AddPush {
    uint count, run;
};
VKS_PUSH_END
