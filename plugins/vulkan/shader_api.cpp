// vks.shader/1: programs in the open, for whoever works on them.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "plugins/vulkan/device.h"

namespace vks::vulkan {
namespace {

template <class T>
void hand_over(T& full, T* out) {
    full.size = out->size;
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
}

Program nth_program(vks_device* device, const vks_op* op, uint32_t nth) {
    if (!device || !op) throw Failure(VKS_INVALID, "found a null argument");
    device->check_alive();
    std::vector<Program> all = programs_of(*device, *op);
    if (nth >= all.size()) throw Failure(VKS_UNSUPPORTED, "there are " + std::to_string(all.size()) + " programs");
    return std::move(all[nth]);
}

// Of all parts that the driver cut the pipeline into; a compute pipeline has one.
std::vector<VkPipelineExecutableStatisticKHR> statistics(const vks_device& device, VkPipeline pipeline) {
    const VkPipelineInfoKHR info{VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, nullptr, pipeline};
    uint32_t parts = 0;
    vk_check(device.vk.vkGetPipelineExecutablePropertiesKHR(device.handle, &info, &parts, nullptr),
             "vkGetPipelineExecutablePropertiesKHR");
    std::vector<VkPipelineExecutableStatisticKHR> all;
    for (uint32_t i = 0; i < parts; ++i) {
        const VkPipelineExecutableInfoKHR which{VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, nullptr, pipeline, i};
        uint32_t count = 0;
        vk_check(device.vk.vkGetPipelineExecutableStatisticsKHR(device.handle, &which, &count, nullptr),
                 "vkGetPipelineExecutableStatisticsKHR");
        std::vector<VkPipelineExecutableStatisticKHR> found(
            count, described<VkPipelineExecutableStatisticKHR>(VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR));
        vk_check(device.vk.vkGetPipelineExecutableStatisticsKHR(device.handle, &which, &count, found.data()),
                 "vkGetPipelineExecutableStatisticsKHR");
        all.insert(all.end(), found.begin(), found.end());
    }
    return all;
}

vks_status replace(vks_device* device, const char* shader, const uint32_t* words, uint64_t count,
                   vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!device || !shader || (count != 0 && !words)) throw Failure(VKS_INVALID, "found a null argument");
        device->pipelines->replace(shader, {words, words + count});
        return vks_status{VKS_OK};
    });
}

vks_status tune(vks_device* device, const char* name, uint64_t value, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!device || !name) throw Failure(VKS_INVALID, "found a null argument");
        device->gpu.caps.tuning.set(name, uint32_t(std::min<uint64_t>(value, UINT32_MAX)));
        return vks_status{VKS_OK};
    });
}

vks_status program(vks_device* device, const vks_op* op, uint32_t nth, vks_program* out, vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!out) throw Failure(VKS_INVALID, "found a null argument");
        const Program found = nth_program(device, op, nth);
        std::string constants = std::to_string(found.workgroup);
        for (const auto& [name, value] : found.constants) constants += " " + name + '=' + std::to_string(value);
        vks_program full{};
        std::snprintf(full.shader, sizeof full.shader, "%s", found.shader.c_str());
        std::snprintf(full.constants, sizeof full.constants, "%s", constants.c_str());
        hand_over(full, out);
        return vks_status{VKS_OK};
    });
}

vks_status statistic(vks_device* device, const vks_op* op, uint32_t nth, uint32_t mth, vks_statistic* out,
                     vks_error* error) noexcept {
    return guarded(error, [&] {
        if (!out) throw Failure(VKS_INVALID, "found a null argument");
        const Program wanted = nth_program(device, op, nth);
        if (!device->gpu.pipeline_statistics)
            throw Failure(VKS_UNSUPPORTED, "the driver reports no statistics of pipelines");
        if (!device->statistics) throw Failure(VKS_UNSUPPORTED, "the device wasn't opened with statistics=1");
        const auto all = statistics(*device, device->pipelines->get(wanted).handle.get());
        if (mth >= all.size()) throw Failure(VKS_UNSUPPORTED, "there are " + std::to_string(all.size()) + " of them");
        const VkPipelineExecutableStatisticKHR& s = all[mth];
        vks_statistic full{};
        std::snprintf(full.name, sizeof full.name, "%.127s", s.name);
        full.value =
            s.format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR ? uint64_t(s.value.f64) : s.value.u64;
        hand_over(full, out);
        return vks_status{VKS_OK};
    });
}

}  // namespace

extern constinit const vks_shader_api kShaderApi = {
    .size = sizeof(vks_shader_api), .replace = replace, .tune = tune, .program = program, .statistic = statistic};

}  // namespace vks::vulkan
