/* vks.tuning/1: which numbers of a device's operators can be chosen by measurement, and keeping those that were. The numbers
 * are set one by one through vks.shader/1. For `vkseek bench tune`.
 *
 * A draft: vks_plugin.extension(VKS_TUNING_ID) gives a vks_tuning_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_TUNING_H
#define VKS_ABI_DRAFT_TUNING_H

#include "backend/abi/plugin.h"

#define VKS_TUNING_ID "vks.tuning/1"

typedef struct vks_tunable {
    uint64_t size;
    char name[64];      /* as vks_shader_api.tune takes it: "gemm.few4.ROWS" */
    uint64_t count;     /* of values worth trying; the plugin's own choice may be among them */
    uint64_t values[8];
} vks_tunable;

typedef struct vks_number {
    char name[64];
    uint64_t value;
} vks_number;

typedef struct vks_tuning_api {
    uint64_t size;
    vks_status (*tunable)(vks_device *, uint32_t nth, vks_tunable *, vks_error *); /* UNSUPPORTED past the last [any] */
    /* These and no others count from the next opening on, for this device with this driver; none: the plugin's own
     * choices. [any] */
    vks_status (*keep)(vks_device *, const vks_number *, uint64_t count, vks_error *);
} vks_tuning_api;

#endif /* VKS_ABI_DRAFT_TUNING_H */
