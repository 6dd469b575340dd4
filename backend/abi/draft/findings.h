/* vks.findings/1: what a plugin has to say about the machine it is on: loader, drivers, memory, features. For
 * `vkseek doctor`; the core does not understand it, it prints it.
 *
 * A draft: vks_plugin.extension(VKS_FINDINGS_ID) gives a vks_findings_api. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_FINDINGS_H
#define VKS_ABI_DRAFT_FINDINGS_H

#include "backend/abi/plugin.h"

#define VKS_FINDINGS_ID "vks.findings/1"
#define VKS_FINDINGS_MACHINE 0xffffffffu /* instead of a device's index: what concerns no single device */

/* vks_finding.grade */
enum {
    VKS_FINDING_GOOD = 0,    /* as it should be */
    VKS_FINDING_NOTE = 1,    /* works; worth knowing */
    VKS_FINDING_WARNING = 2, /* works less well than it could, or will fail with a large model */
    VKS_FINDING_FAULT = 3    /* does not work */
};

typedef struct vks_finding {
    uint64_t size;
    uint64_t grade;
    char topic[32];   /* "memory" */
    char text[512];   /* what was found; one line */
    char advice[256]; /* what to do about it, a sentence; empty for what is as it should be */
} vks_finding;

typedef struct vks_findings_api {
    uint64_t size;
    /* The nth about a device, counted as enumerate counts them, or about the machine. UNSUPPORTED past the last. [any] */
    vks_status (*get)(uint32_t device, uint32_t nth, vks_finding *, vks_error *);
} vks_findings_api;

#endif /* VKS_ABI_DRAFT_FINDINGS_H */
