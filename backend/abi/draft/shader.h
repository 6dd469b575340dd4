/* vks.shader/1: the programs that operators are made of, for whoever works on them: what they are, what the driver's
 * compiler makes of them, and others in their place. For `vkseek bench shader` and `bench isa`.
 *
 * A draft: vks_plugin.extension(VKS_SHADER_ID) gives a vks_shader_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_SHADER_H
#define VKS_ABI_DRAFT_SHADER_H

#include "backend/abi/plugin.h"

#define VKS_SHADER_ID "vks.shader/1"

typedef struct vks_program {
    uint64_t size;
    char shader[64];     /* file name and variant: "gemm.subgroup" */
    char constants[256]; /* invocations of a workgroup and specialization constants: "64 X=2 W=4" */
} vks_program;

typedef struct vks_statistic {
    uint64_t size;
    uint64_t value;
    char name[128]; /* the driver's own: "VGPRs" */
} vks_statistic;

typedef struct vks_shader_api {
    uint64_t size;
    /* SPIR-V in place of that shader, for kernels prepared from now on; copied. No words: the plugin's own again. The
     * words must be valid: drivers don't check. INVALID: no such shader, or nothing like SPIR-V. [any] */
    vks_status (*replace)(vks_device *, const char *shader, const uint32_t *words, uint64_t count, vks_error *);
    /* A number in place of an operator's choice, for kernels prepared from now on: "gemm.few4.ROWS", of a shader's ways
     * one, or "gemm.ROWS", of all; 0: the plugin's choice again. Where it doesn't fit the device, its choice stays.
     * [idle] */
    vks_status (*tune)(vks_device *, const char *name, uint64_t value, vks_error *);
    /* The nth program that prepare would make. UNSUPPORTED past the last, or what query answers. [any] */
    vks_status (*program)(vks_device *, const vks_op *, uint32_t nth, vks_program *, vks_error *);
    /* Compiles it; the mth thing that the driver says of it. UNSUPPORTED past the last, and all of them unless the
     * device was opened with statistics=1. [any] */
    vks_status (*statistic)(vks_device *, const vks_op *, uint32_t nth, uint32_t mth, vks_statistic *, vks_error *);
} vks_shader_api;

#endif /* VKS_ABI_DRAFT_SHADER_H */
