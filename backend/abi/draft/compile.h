/* vks.compile/1: kernels that are still being compiled when prepare returns, so that a plan's are compiled beside each
 * other and beside whatever else its making does. What a driver's compiler refuses is then known here, before anything
 * of the step was launched, and the host asks for another plan. prepare must say the same from then on.
 *
 * A draft: vks_plugin.extension(VKS_COMPILE_ID) gives a vks_compile_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_COMPILE_H
#define VKS_ABI_DRAFT_COMPILE_H

#include "backend/abi/plugin.h"

#define VKS_COMPILE_ID "vks.compile/1"

typedef struct vks_compile_api {
    uint64_t size;
    /* Waits until the kernel is compiled; fails as prepare would have. It stays the caller's to destroy. [any] */
    vks_status (*finish)(vks_device*, vks_kernel*, vks_error*);
} vks_compile_api;

#endif /* VKS_ABI_DRAFT_COMPILE_H */
