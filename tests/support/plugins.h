// Where the build put the plugins that tests load.
#pragma once
#include <filesystem>

#if !defined(VKS_TEST_PLUGIN) || !defined(VKS_TEST_PLUGINS) || !defined(VKS_EXTRA_PLUGINS)
#error "VKS_TEST_PLUGIN, VKS_TEST_PLUGINS, VKS_EXTRA_PLUGINS: the build gives the paths"
#endif

namespace vks::test {

// The folder of the CPU plugin alone.
inline std::filesystem::path cpu_dir() {
    return std::filesystem::path(VKS_TEST_PLUGIN).parent_path();
}
// "remote", a discrete asynchronous device, and "cnorm", rms_norm in C.
inline std::filesystem::path test_dir() {
    return VKS_TEST_PLUGINS;
}
// "null", which accepts every operator and computes nothing.
inline std::filesystem::path null_dir() {
    return VKS_EXTRA_PLUGINS;
}

}  // namespace vks::test
