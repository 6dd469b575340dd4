/* vks.row_bits/1: a promise. Bits of a row of any operator's output depend neither on how many rows a launch has, up to
 * a number, nor on what is in the others: a token alone and among others gets the same. Hosts may then form steps as
 * time permits, and still give the same answer every time. mla_expanded, which is for prompts, is no part of it.
 *
 * A draft: vks_plugin.extension(VKS_ROW_BITS_ID) gives a vks_row_bits. May change until it moves out of draft/. */
#ifndef VKS_ABI_DRAFT_ROW_BITS_H
#define VKS_ABI_DRAFT_ROW_BITS_H

#include <stdint.h>

#define VKS_ROW_BITS_ID "vks.row_bits/1"

typedef struct vks_row_bits {
    uint64_t size;
    uint64_t (*rows)(void); /* the most rows of such a launch; with f32 activations there is no limit */
} vks_row_bits;

#endif /* VKS_ABI_DRAFT_ROW_BITS_H */
