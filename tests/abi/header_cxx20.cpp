// The public header alone, as strict C++20: compiling is the test. VKS_HEADER is "plugin.h" or "ops.h".
#include VKS_HEADER

#include <type_traits>

static_assert(std::is_standard_layout_v<vks_tensor> && std::is_trivially_copyable_v<vks_tensor>);
static_assert(std::is_standard_layout_v<vks_plugin> && std::is_trivially_copyable_v<vks_plugin>);
static_assert(std::is_standard_layout_v<vks_device_api> && std::is_trivially_copyable_v<vks_device_api>);

bool has_everything(const vks_device_api* api);
bool has_everything(const vks_device_api* api) {
    return VKS_HAS(api, info) && VKS_HAS(api, fence_destroy);
}

static const vks_plugin* negotiate(uint32_t, uint32_t, vks_error*) {
    return nullptr;
}

extern "C" const vks_entry vks_plugin_entry = {
    sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, negotiate,
};
