// What the Vulkan plugin orders by barriers, counted by the device. No result would show a missing one on a device that
// runs one thing after another.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "backend/abi/draft/stats.h"
#include "backend/abi/ops.h"
#include "backend/conformance/target.h"
#include "backend/registry/loader.h"

namespace vks {
namespace {

using conformance::Target;
using conformance::tensor_at;

constexpr int64_t kSize = 16;  // columns of x; rows and columns of w

class VulkanBarriers : public testing::TestWithParam<const char*> {
protected:
    uint64_t barriers() {
        const auto* api = static_cast<const vks_stats_api*>(file_.table->extension(VKS_STATS_ID));
        vks_stats stats{};
        stats.size = sizeof stats;
        EXPECT_EQ(api->read(target_.device, &stats, nullptr), VKS_OK);
        return stats.last_barriers;
    }

    const PluginFile file_ = load_plugin(std::filesystem::path(VKS_TEST_PLUGIN).parent_path() / "libvkseek_vulkan.so");
    Target target_{*file_.table, 0, GetParam()};
};

// A weight that is written and then multiplied by, whether it is bound or read by its address.
TEST_P(VulkanBarriers, BetweenACopyAndWhatReadsIt) {
    ASSERT_TRUE(target_.ok()) << target_.error.text;
    const uint64_t bytes = kSize * kSize * sizeof(float);
    vks_buffer *buffer = target_.buffer(4 * bytes, VKS_BUFFER_DEVICE),
               *weight = target_.buffer(bytes, VKS_BUFFER_DEVICE), *fresh = target_.buffer(bytes, VKS_BUFFER_DEVICE);
    ASSERT_TRUE(buffer && weight && fresh);
    const vks_tensor x = tensor_at(VKS_F32, {1, kSize}, buffer, 0), y = tensor_at(VKS_F32, {1, kSize}, buffer, bytes),
                     offset = tensor_at(VKS_I32, {2}, buffer, 2 * bytes),
                     w = tensor_at(VKS_F32, {kSize, kSize}, weight, 0),
                     from = tensor_at(VKS_F32, {kSize, kSize}, fresh, 0);
    const std::array<int32_t, 2> one = {0, 1};
    ASSERT_TRUE(target_.write(buffer, 2 * bytes, one.data(), sizeof one));

    const vks_tensor none{};
    std::array args = {x, none, offset, none, w, none, y};  // x, its scale, lists, w, its scale, y
    args[4].flags = VKS_TENSOR_CONSTANT;
    for (const size_t given : {size_t{0}, size_t{2}, size_t{6}}) args[given].buffer = nullptr;
    const vks_grouped_gemm_params params{1};
    const vks_op op{sizeof(vks_op), "grouped_gemm/1", &params, sizeof params, args.data(), args.size()};
    vks_kernel* kernel = nullptr;
    ASSERT_TRUE(target_.note(target_.api.prepare(target_.device, &op, &kernel, &target_.error))) << target_.error.text;
    const std::array given = {x, offset, y};
    const auto launch = [&] {
        return target_.note(
            target_.api.launch(target_.stream, kernel, given.data(), given.size(), nullptr, &target_.error));
    };
    EXPECT_TRUE(launch() && target_.finish()) << target_.error.text;
    EXPECT_EQ(barriers(), 0u);
    EXPECT_TRUE(target_.note(target_.api.copy(target_.stream, &from, &w, &target_.error)));
    EXPECT_TRUE(launch() && target_.finish()) << target_.error.text;
    EXPECT_EQ(barriers(), 1u);
    // And the other way round.
    EXPECT_TRUE(launch() && target_.note(target_.api.copy(target_.stream, &from, &w, &target_.error)));
    EXPECT_TRUE(target_.finish()) << target_.error.text;
    EXPECT_EQ(barriers(), 1u);
    target_.api.kernel_destroy(target_.device, kernel);
}

INSTANTIATE_TEST_SUITE_P(Weights, VulkanBarriers, testing::Values("", "addresses=0"),
                         [](const testing::TestParamInfo<const char*>& info) {
                             return std::string(*info.param ? "Bound" : "ByAddress");
                         });

}  // namespace
}  // namespace vks
