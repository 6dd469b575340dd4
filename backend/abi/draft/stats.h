/* vks.stats/1: how often a device did what is slow, counted by its plugin since open. A steady decode step only submits:
 * every other count stays as it is from one step to the next.
 *
 * A draft: vks_plugin.extension(VKS_STATS_ID) gives a vks_stats_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_STATS_H
#define VKS_ABI_DRAFT_STATS_H

#include "backend/abi/plugin.h"

#define VKS_STATS_ID "vks.stats/1"

typedef struct vks_stats {
    uint64_t size;
    uint64_t pipelines;                        /* made: programs ready to run */
    uint64_t pipelines_compiled;               /* of those, not kept from an earlier start */
    uint64_t allocations;                      /* of memory, from the driver */
    uint64_t recordings;                       /* command lists written */
    uint64_t submits;                          /* handed to the device */
    uint64_t dispatches, barriers;             /* in all recordings together */
    uint64_t last_dispatches, last_barriers;   /* in the recording submitted last that has dispatches */
} vks_stats;

typedef struct vks_stats_api {
    uint64_t size;
    vks_status (*read)(vks_device *, vks_stats *, vks_error *); /* [any] */
} vks_stats_api;

#endif /* VKS_ABI_DRAFT_STATS_H */
