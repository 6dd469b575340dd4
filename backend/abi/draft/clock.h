/* vks.clock/1: how long a stream's submissions took by the device's own clock, without what the host took to hand them
 * over and to hear of their end. For benchmarks and timelines.
 *
 * A draft: vks_plugin.extension(VKS_CLOCK_ID) gives a vks_clock_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_CLOCK_H
#define VKS_ABI_DRAFT_CLOCK_H

#include "backend/abi/plugin.h"

#define VKS_CLOCK_ID "vks.clock/1"

typedef struct vks_span {
    uint64_t size;
    uint64_t ns;           /* out: from the beginning of the submission's work to its end */
    uint64_t begin;        /* out: when it began, in ns of the host's CLOCK_MONOTONIC; 0: the device can't tell */
    uint64_t deviation_ns; /* out: `begin` may be off by so much */
} vks_span;

typedef struct vks_clock_api {
    uint64_t size;
    /* Submissions from now on are timed (on = 1) or not, as at first. UNSUPPORTED: the device has no clock. [stream] */
    vks_status (*enable)(vks_stream *, uint64_t on, vks_error *);
    /* Of the last submission that had work, after its fence. INVALID: there is none that was timed. [stream] */
    vks_status (*last)(vks_stream *, vks_span *, vks_error *);
} vks_clock_api;

#endif /* VKS_ABI_DRAFT_CLOCK_H */
