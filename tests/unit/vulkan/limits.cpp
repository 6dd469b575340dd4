// What the Vulkan plugin refuses on devices that have little, before anything is made of it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

#include "backend/abi/ops.h"
#include "backend/conformance/target.h"
#include "backend/registry/loader.h"

namespace vks {
namespace {

using conformance::Target;
using conformance::tensor_at;

// "" or why the operator isn't supported there.
std::string refusal(Target& target, const char* id, const std::vector<vks_tensor>& args, const void* params,
                    uint64_t params_size) {
    const vks_op op{sizeof(vks_op), id, params, params_size, args.data(), args.size()};
    vks_support support{};
    support.size = sizeof support;
    EXPECT_TRUE(target.note(target.api.query(target.device, &op, &support, &target.error))) << target.error.text;
    return support.verdict == VKS_OK ? "" : target.error.text;
}

PluginFile plugin() {
    return load_plugin(std::filesystem::path(VKS_TEST_PLUGIN).parent_path() / "libvkseek_vulkan.so");
}

std::string refusal_of_gemm(const std::string& options) {
    const PluginFile file = plugin();
    Target target(*file.table, 0, options);
    EXPECT_TRUE(target.ok()) << target.error.text;
    if (!target.ok()) return "not opened";
    const auto matrix = [](int64_t rows) { return tensor_at(VKS_F32, {rows, 16}, nullptr, 0); };
    const vks_norm_params norm{1e-6F};
    // Three buffers: on any device.
    EXPECT_EQ(
        refusal(target, "rms_norm/1", {matrix(2), tensor_at(VKS_F32, {16}, nullptr, 0), matrix(2)}, &norm, sizeof norm),
        "");
    return refusal(target, "gemm/1", {matrix(2), matrix(16), matrix(2)}, nullptr, 0);
}

TEST(VulkanLimits, BuffersOfAShader) {
    EXPECT_EQ(refusal_of_gemm(""), "");
    EXPECT_EQ(refusal_of_gemm("buffers=5"), "");
    const std::string text = refusal_of_gemm("buffers=4");
    EXPECT_NE(text.find("gemm/1: shader gemm"), std::string::npos) << text;
    EXPECT_NE(text.find("wanted at most 4 buffers, found 5"), std::string::npos) << text;
}

// Not even what a device is tried with can be made: that is told, and closing it finds nothing half made.
TEST(VulkanLimits, NoBuffersNoDevice) {
    const PluginFile file = plugin();
    const Target target(*file.table, 0, "buffers=0");
    EXPECT_FALSE(target.ok());
    EXPECT_EQ(target.status, VKS_UNSUPPORTED);
    EXPECT_STREQ(target.error.text, "shader fp8_codes: more buffers than the device takes");
}

// Host memory is used in place on the one driver known to be good for files' read-only mappings, and on no other
// unasked.
TEST(VulkanLimits, ImportsWhereThatIsKnownToWork) {
    constexpr uint64_t kBytes = uint64_t{1} << 20;
    const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(4096, kBytes), std::free);
    const PluginFile file = plugin();
    int devices = 0;
    vks_info info{};
    info.size = sizeof info;
    for (uint32_t i = 0; file.table->enumerate(i, &info, nullptr) == VKS_OK; ++i) {
        if (info.flags & VKS_DEVICE_UNUSABLE) continue;
        SCOPED_TRACE(info.name);
        ++devices;
        const auto imports = [&](const char* options) {
            Target target(*file.table, i, options);
            EXPECT_TRUE(target.ok()) << target.error.text;
            return target.ok() && target.buffer(kBytes, VKS_BUFFER_IMPORT, memory.get()) != nullptr;
        };
        EXPECT_EQ(imports(""), std::string_view(info.detail).starts_with("llvmpipe"));
        EXPECT_FALSE(imports("import=0"));
    }
    EXPECT_GT(devices, 0);
}

}  // namespace
}  // namespace vks
