// Where the build put the plugins that tests load.
#pragma once
#include <filesystem>

#if !defined(VKS_TEST_CPU_DIR) || !defined(VKS_TEST_PLUGINS) || !defined(VKS_EXTRA_PLUGINS)
#error "VKS_TEST_CPU_DIR, VKS_TEST_PLUGINS, VKS_EXTRA_PLUGINS: the build gives the paths"
#endif

namespace vks::test {

// The folder of the CPU plugin alone: a link to it.
inline std::filesystem::path cpu_dir() {
    return VKS_TEST_CPU_DIR;
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
