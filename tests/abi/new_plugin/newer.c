/* The plugin in C, built with the header of a later minor version, and with something in everything that is new there.
 * The core of today has to take it and touch none of that. */
#include <stdlib.h>
#include <vkseek/ops.h>

#define vks_plugin_entry older_entry
#define negotiate older_negotiate
#include "../c_plugin/rms_norm.c" /* NOLINT(bugprone-suspicious-include) */
#undef vks_plugin_entry
#undef negotiate

static void later(void) {
    abort(); /* a core that knows nothing of it called it */
}

static vks_device_api newer_device;
static vks_plugin newer;

static vks_status newer_info(vks_device* device, vks_info* out, vks_error* error) {
    if (out->size >= sizeof *out) return fail(error, VKS_INTERNAL, "info: wanted a core with a shorter vks_info");
    return info(device, out, error);
}

static vks_status newer_query(vks_device* device, const vks_op* op, vks_support* out, vks_error* error) {
    if (op->size >= sizeof *op || out->size >= sizeof *out)
        return fail(error, VKS_INTERNAL, "query: wanted a core with shorter structs");
    return query(device, op, out, error);
}

static const vks_plugin* negotiate(uint32_t major, uint32_t minor, vks_error* error) {
    const vks_plugin* older = older_negotiate(major, minor, error);
    if (!older || minor >= VKS_ABI_MINOR) return NULL;
    newer_device = *older->device;
    newer_device.info = newer_info;
    newer_device.query = newer_query;
    newer_device.later = later;
    newer = *older;
    newer.device = &newer_device;
    newer.later = later;
    return &newer;
}

const vks_entry vks_plugin_entry = {sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, negotiate, 7};
