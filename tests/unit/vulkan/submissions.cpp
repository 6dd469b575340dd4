// Dispatches that would take longer than kernel drivers allow a job: more of them, and the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "backend/abi/draft/stats.h"
#include "backend/abi/ops.h"
#include "backend/conformance/target.h"
#include "backend/registry/loader.h"

namespace vks {
namespace {

using conformance::Target;
using conformance::tensor_at;

constexpr int64_t kRows = 200, kSize = 16;  // of x; columns of x, rows and columns of w
constexpr int64_t kExperts = 160;           // more than the 64 lists between two offsets that any device takes

struct Ran {
    uint64_t dispatches = 0;
    std::vector<float> y;
};

class VulkanSubmissions : public testing::TestWithParam<const char*> {
protected:
    // A gemm, or a grouped_gemm over experts of which each has another number of rows.
    Ran run(bool grouped, const std::string& options) {
        Target target(*file_.table, 0, std::string(GetParam()) + ";" + options);
        EXPECT_TRUE(target.ok()) << target.error.text;
        if (!target.ok()) return {};
        const int64_t experts = grouped ? kExperts : 1;
        vks_buffer *buffer = target.buffer(uint64_t{4} << 20, VKS_BUFFER_DEVICE),
                   *weights = target.buffer(uint64_t(experts) * kWeight, VKS_BUFFER_DEVICE);
        EXPECT_TRUE(buffer && weights);
        const vks_tensor none{}, x = tensor_at(VKS_F32, {kRows, kSize}, buffer, 0),
                                 y = tensor_at(VKS_F32, {kRows, kSize}, buffer, kY),
                                 offset = tensor_at(VKS_I32, {experts + 1}, buffer, kOffset);
        fill(target, buffer, kRows * kSize);
        fill(target, weights, experts * kSize * kSize);
        std::vector<int32_t> lists;
        for (int64_t e = 0; e < experts; ++e) lists.push_back(int32_t(std::min(kRows, e * e % 7 + e)));
        std::sort(lists.begin(), lists.end());
        lists.push_back(kRows);
        EXPECT_TRUE(target.write(buffer, kOffset, lists.data(), lists.size() * sizeof(int32_t)));

        std::vector<vks_tensor> args = {x}, given = {x};
        if (grouped) args.insert(args.end(), {none, offset, none});
        for (int64_t e = 0; e < experts; ++e) {
            args.push_back(tensor_at(VKS_F32, {kSize, kSize}, weights, uint64_t(e) * kWeight));
            args.back().flags = VKS_TENSOR_CONSTANT;
            if (grouped) args.push_back(none);
        }
        args.push_back(y);
        if (grouped) given.push_back(offset);
        given.push_back(y);
        for (vks_tensor& t : args)
            if (!(t.flags & VKS_TENSOR_CONSTANT)) t.buffer = nullptr;
        const vks_grouped_gemm_params params{uint32_t(experts)};
        const vks_op op{sizeof(vks_op),
                        grouped ? "grouped_gemm/1" : "gemm/1",
                        grouped ? &params : nullptr,
                        grouped ? sizeof params : 0,
                        args.data(),
                        args.size()};
        vks_kernel* kernel = nullptr;
        EXPECT_TRUE(target.note(target.api.prepare(target.device, &op, &kernel, &target.error))) << target.error.text;
        if (!kernel) return {};
        EXPECT_TRUE(
            target.note(target.api.launch(target.stream, kernel, given.data(), given.size(), nullptr, &target.error)));
        EXPECT_TRUE(target.finish()) << target.error.text;
        Ran ran;
        ran.dispatches = dispatches(target);
        ran.y.resize(kRows * kSize);
        EXPECT_TRUE(target.read(buffer, kY, ran.y.data(), ran.y.size() * sizeof(float)));
        target.api.kernel_destroy(target.device, kernel);
        return ran;
    }

private:
    static constexpr uint64_t kY = uint64_t{1} << 20, kOffset = uint64_t{2} << 20;
    static constexpr uint64_t kWeight = kSize * kSize * sizeof(float);

    static void fill(Target& target, vks_buffer* buffer, int64_t count) {
        std::vector<float> values;
        for (int64_t i = 0; i < count; ++i) values.push_back(float(i * 2654435761 % 1000) / 500 - 1);
        EXPECT_TRUE(target.write(buffer, 0, values.data(), values.size() * sizeof(float)));
    }
    uint64_t dispatches(Target& target) const {
        const auto* api = static_cast<const vks_stats_api*>(file_.table->extension(VKS_STATS_ID));
        vks_stats stats{};
        stats.size = sizeof stats;
        EXPECT_EQ(api->read(target.device, &stats, nullptr), VKS_OK);
        return stats.last_dispatches;
    }

    const PluginFile file_ = load_plugin(std::filesystem::path(VKS_TEST_PLUGIN).parent_path() / "libvkseek_vulkan.so");
};

TEST_P(VulkanSubmissions, RowsOfAProductAreCut) {
    const Ran whole = run(false, "submission=0"), cut = run(false, "submission=1");
    EXPECT_EQ(whole.dispatches, 1u);
    EXPECT_GE(cut.dispatches, 4u);                                          // tiles of 64 rows or fewer
    EXPECT_LT(run(false, "submission=100000").dispatches, cut.dispatches);  // less than all rows
    EXPECT_GT(run(false, "submission=100000").dispatches, 1u);
    EXPECT_TRUE(whole.y == cut.y);
    EXPECT_EQ(run(false, "submission=1000000").dispatches, 1u);
}

TEST_P(VulkanSubmissions, ListsOfExpertsAreCut) {
    const Ran whole = run(true, "submission=0"), cut = run(true, "submission=1");
    EXPECT_EQ(whole.dispatches, 1u);
    EXPECT_GE(cut.dispatches, 3u);
    EXPECT_LE(cut.dispatches, uint64_t{kExperts} / 4);  // offsets are multiples of 16 bytes, if not more
    EXPECT_TRUE(whole.y == cut.y);
    EXPECT_EQ(run(true, "submission=1000000").dispatches, 1u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, VulkanSubmissions, testing::Values("tune=cpu", "tune=gpu"),
                         [](const testing::TestParamInfo<const char*>& info) {
                             return std::string(info.param).substr(5);
                         });

}  // namespace
}  // namespace vks
