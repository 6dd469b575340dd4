/* vks.threads/1: how many threads a device that computes on the host has, and when they were at work. For timelines.
 *
 * A draft: vks_plugin.extension(VKS_THREADS_ID) gives a vks_threads_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_THREADS_H
#define VKS_ABI_DRAFT_THREADS_H

#include "backend/abi/plugin.h"

#define VKS_THREADS_ID "vks.threads/1"

typedef struct vks_thread_span {
    uint64_t thread;     /* 0: the one that called launch */
    uint64_t begin, end; /* ns of CLOCK_MONOTONIC */
} vks_thread_span;

typedef struct vks_threads_api {
    uint64_t size;
    /* From now on it is noted when threads of the stream's device work (on = 1) or not, as at first. [stream] */
    vks_status (*enable)(vks_stream *, uint64_t on, vks_error *);
    /* Takes out what was noted, `capacity` spans at most, after the fence of what they are of; each thread's are in
     * their order. *count: how many; fewer than there was room for: there are no more. A device may note no more than it
     * has room for. [stream] */
    vks_status (*take)(vks_stream *, vks_thread_span *out, uint64_t capacity, uint64_t *count, vks_error *);
    /* Threads of a device that is opened without saying how many: what this process may use. [any] */
    uint64_t (*usual)(void);
} vks_threads_api;

#endif /* VKS_ABI_DRAFT_THREADS_H */
