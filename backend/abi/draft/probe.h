/* vks.probe/1: what a device can do at best: how fast it reads, how many multiplications it does. For `vkseek bench
 * roofline`, which measures copies and launches by itself.
 *
 * A draft: vks_plugin.extension(VKS_PROBE_ID) gives a vks_probe_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_PROBE_H
#define VKS_ABI_DRAFT_PROBE_H

#include "backend/abi/plugin.h"

#define VKS_PROBE_ID "vks.probe/1"

/* vks_probe.kind. A multiply-add counts as two operations, whatever the instruction does at once. */
enum {
    VKS_PROBE_READ = 0, /* memory, `bytes` of it, again and again: small ones stay in caches; work: bytes */
    VKS_PROBE_F32 = 1,  /* fused multiply-adds of f32 */
    VKS_PROBE_BF16 = 2, /* products of bf16, summed in f32 */
    VKS_PROBE_I8 = 3,   /* products of 8-bit integers, summed in 32 bits */
    VKS_PROBE_F16 = 4,  /* fused multiply-adds of f16 */
    VKS_PROBE_MATRIX = 5 /* products of f16 by instructions for whole matrices, summed in f32 */
};

typedef struct vks_probe {
    uint64_t size;
    uint64_t kind;
    uint64_t bytes; /* of READ */
    uint64_t work;  /* out: bytes or operations in */
    uint64_t ns;    /* out: so much time, at best, by the device's own clock if it has one */
} vks_probe;

typedef struct vks_probe_api {
    uint64_t size;
    /* Takes up to half a second and the whole device. UNSUPPORTED: it has no such instruction. [idle] */
    vks_status (*run)(vks_device *, vks_probe *, vks_error *);
} vks_probe_api;

#endif /* VKS_ABI_DRAFT_PROBE_H */
