/* The public header alone, as strict C11: compiling is the test. VKS_HEADER is "plugin.h" or "ops.h". */
#include VKS_HEADER

static int has_everything(const vks_device_api* api) {
    return VKS_HAS(api, info) && VKS_HAS(api, fence_destroy);
}

static const vks_plugin* negotiate(uint32_t major, uint32_t minor, vks_error* error) {
    static const vks_device_api api = {sizeof(vks_device_api), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const vks_plugin plugin = {sizeof plugin, VKS_ABI_MAJOR, VKS_ABI_MINOR, "none", "1", 0, &api, 0, 0, 0, 0};
    (void)minor;
    if (error) error->native = has_everything(&api);
    return major == VKS_ABI_MAJOR ? &plugin : 0;
}

const vks_entry vks_plugin_entry = {sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, negotiate};

_Static_assert(sizeof vks_plugin_entry.magic == sizeof VKS_ABI_MAGIC, "the magic fills its field with the terminator");
_Static_assert(offsetof(vks_device_api, size) == 0, "a growing struct starts with its size");
