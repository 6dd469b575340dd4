// vks_isa: compiles what the Vulkan plugin would run for DeepSeek-V3 and prints what the driver's compiler made of it:
// registers, spills, shared memory, waves, bytes. Runs nothing, so that drivers on a fake kernel device (mesa-drm-shim)
// will do. Fails where a pipeline can't be made, spills, or uses what the device doesn't have.
//
// usage: vks_isa [OPTIONS [FILE.json]]   OPTIONS: the plugin's, "tier=0;tune=gpu"
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include <nlohmann/json.hpp>
#include <spirv/unified1/spirv.hpp>

#include "frontend/bench/isa_figures.h"
#include "frontend/bench/isa_shapes.h"
#include "plugins/vulkan/device.h"

namespace vks::test {
namespace {

using namespace vks::vulkan;
using Question = bench::IsaQuestion;
using Statistics = std::map<std::string, uint64_t>;  // by the driver's names

// What a compiler reports as a statistic is true, signed, unsigned or a double.
uint64_t number(const VkPipelineExecutableStatisticKHR& s) {
    return s.format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR ? uint64_t(s.value.f64) : s.value.u64;
}

Statistics statistics(const vks_device& device, VkPipeline pipeline) {
    const VkPipelineInfoKHR info{VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, nullptr, pipeline};
    uint32_t executables = 0;
    vk_check(device.vk.vkGetPipelineExecutablePropertiesKHR(device.handle, &info, &executables, nullptr),
             "vkGetPipelineExecutablePropertiesKHR");
    Statistics all;
    for (uint32_t i = 0; i < executables; ++i) {
        const VkPipelineExecutableInfoKHR which{VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, nullptr, pipeline, i};
        uint32_t count = 0;
        vk_check(device.vk.vkGetPipelineExecutableStatisticsKHR(device.handle, &which, &count, nullptr),
                 "vkGetPipelineExecutableStatisticsKHR");
        std::vector<VkPipelineExecutableStatisticKHR> found(
            count, described<VkPipelineExecutableStatisticKHR>(VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR));
        vk_check(device.vk.vkGetPipelineExecutableStatisticsKHR(device.handle, &which, &count, found.data()),
                 "vkGetPipelineExecutableStatisticsKHR");
        for (const VkPipelineExecutableStatisticKHR& s : found) all[s.name] = number(s);
    }
    return all;
}

// Their names are younger than some SPIR-V headers.
constexpr uint32_t kCooperativeMatrix = 6022, kFloat8 = 4212, kFloat8CooperativeMatrix = 4213;

struct Features {
    VkPhysicalDeviceVulkan12Features v12 =
        described<VkPhysicalDeviceVulkan12Features>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES);
    VkPhysicalDeviceVulkan11Features v11 =
        described<VkPhysicalDeviceVulkan11Features>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, &v12);
    VkPhysicalDeviceFeatures2 v10 =
        described<VkPhysicalDeviceFeatures2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &v11);
    VkPhysicalDeviceVulkan11Properties properties =
        described<VkPhysicalDeviceVulkan11Properties>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES);

    bool matrices, float8;

    explicit Features(const vks_device& opened) : matrices(opened.caps().matrix), float8(opened.caps().matrix8) {
        VkPhysicalDevice device = opened.gpu.handle;
        auto all = described<VkPhysicalDeviceProperties2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &properties);
        vkGetPhysicalDeviceFeatures2(device, &v10);
        vkGetPhysicalDeviceProperties2(device, &all);
    }

    bool subgroup(VkSubgroupFeatureFlags wanted) const {
        return (properties.subgroupSupportedOperations & wanted) == wanted;
    }

    // Unknown ones are lacking: whoever uses a new capability says here when a device has it.
    bool has(uint32_t capability) const {
        switch (capability) {
            case spv::CapabilityShader:
                return true;
            case spv::CapabilityInt16:
                return v10.features.shaderInt16;
            case spv::CapabilityInt64:
                return v10.features.shaderInt64;
            case spv::CapabilityInt8:
                return v12.shaderInt8;
            case spv::CapabilityFloat16:
                return v12.shaderFloat16;
            case spv::CapabilityStorageBuffer16BitAccess:
                return v11.storageBuffer16BitAccess;
            case spv::CapabilityStorageBuffer8BitAccess:
                return v12.storageBuffer8BitAccess;
            case spv::CapabilityPhysicalStorageBufferAddresses:
                return v12.bufferDeviceAddress;
            case spv::CapabilityVulkanMemoryModel:
                return v12.vulkanMemoryModel;
            case spv::CapabilityGroupNonUniform:
                return subgroup(VK_SUBGROUP_FEATURE_BASIC_BIT);
            case spv::CapabilityGroupNonUniformArithmetic:
                return subgroup(VK_SUBGROUP_FEATURE_ARITHMETIC_BIT);
            case spv::CapabilityGroupNonUniformBallot:
                return subgroup(VK_SUBGROUP_FEATURE_BALLOT_BIT);
            case spv::CapabilityGroupNonUniformVote:
                return subgroup(VK_SUBGROUP_FEATURE_VOTE_BIT);
            case spv::CapabilityGroupNonUniformShuffle:
                return subgroup(VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
            case spv::CapabilityGroupNonUniformShuffleRelative:
                return subgroup(VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT);
            case kCooperativeMatrix:
                return matrices;
            case kFloat8:
            case kFloat8CooperativeMatrix:
                return float8;
            default:
                return false;
        }
    }
};

class Table {
public:
    explicit Table(vks_device& device) : device_(device), features_(device) {
        std::printf("## %s\n%s\n\n", device.gpu.properties.deviceName, device.gpu.driver.c_str());
        std::printf(
            "| op | shader | workgroup, constants | first asked by | registers | spilled | shared | waves | code |\n");
        std::printf("|---|---|---|---|--:|--:|--:|--:|--:|\n");
    }

    void add(const Op& op, const Question& question) {
        std::vector<Arg> arguments;
        for (const vks_tensor& t : question.args) arguments.push_back(args::at_maximum(t));
        const Signature signature{arguments, question.params.data(), question.params.size()};
        const std::string complaint = op.check(signature);
        if (!complaint.empty()) return fail(question, complaint);
        const Recipe recipe = op.recipe(device_.caps(), signature);
        if (!recipe.refusal.empty()) return fail(question, recipe.refusal);
        for (const Program& program : recipe.programs) {
            std::string numbers = std::to_string(program.workgroup);
            for (const auto& [name, value] : program.constants)
                numbers += " " + std::string(name) + "=" + std::to_string(value);
            if (seen_.insert(program.shader + " " + numbers).second) add(question, program, numbers);
        }
    }

    void fail(const Question& question, const std::string& why) {
        failures_.push_back(question.op + " (" + question.shape + "): " + why);
    }

    // Number of failures, each said on standard error.
    size_t finish(const char* file) const {
        std::printf("\n%zu pipelines, %zu failures\n", seen_.size(), failures_.size());
        for (const std::string& failure : failures_) std::fprintf(stderr, "FAIL %s\n", failure.c_str());
        const nlohmann::json all = {{"device", device_.gpu.properties.deviceName},
                                    {"driver", device_.gpu.driver},
                                    {"pipelines", rows_},
                                    {"failures", failures_}};
        if (file) std::ofstream(file) << all.dump(1) << '\n';
        return failures_.size();
    }

private:
    void add(const Question& question, const Program& program, const std::string& numbers) {
        for (const uint32_t capability : reflect(find_shader(program.shader)).capabilities)
            if (!features_.has(capability))
                return fail(question, program.shader + " needs capability " + std::to_string(capability));
        Statistics all;
        try {
            all = statistics(device_, device_.pipelines->get(program).handle.get());
        } catch (const std::exception& e) {
            return fail(question, e.what());
        }
        const bench::IsaFigures figures = bench::isa_figures(all);
        if (!figures.registers || !figures.code) {
            std::string names;
            for (const auto& [name, value] : all) names += " \"" + name + "\"=" + std::to_string(value);
            return fail(question, program.shader + ": an empty pipeline, or statistics of unknown names:" + names);
        }
        if (figures.spilled > 0) fail(question, program.shader + " spills: " + numbers);
        const auto show = [](std::optional<uint64_t> n) { return n ? std::to_string(*n) : std::string("-"); };
        std::printf("| %s | %s | %s | %s | %s | %" PRIu64 " | %s | %s | %s |\n", question.op.c_str(),
                    program.shader.c_str(), numbers.c_str(), question.shape.c_str(), show(figures.registers).c_str(),
                    figures.spilled, show(figures.shared).c_str(), show(figures.waves).c_str(),
                    show(figures.code).c_str());
        rows_.push_back({{"op", question.op},
                         {"shape", question.shape},
                         {"shader", program.shader},
                         {"constants", numbers},
                         {"statistics", all}});
    }

    vks_device& device_;
    const Features features_;
    std::set<std::string> seen_;
    std::vector<std::string> failures_;
    nlohmann::json rows_ = nlohmann::json::array();
};

int run(const std::string& options, const char* file) {
    std::string reason;
    const std::span<const Gpu> all = gpus(reason);
    if (all.empty()) throw Failure(VKS_UNSUPPORTED, reason);
    if (!all[0].unusable.empty()) throw Failure(VKS_UNSUPPORTED, all[0].unusable);
    if (!all[0].pipeline_statistics) throw Failure(VKS_UNSUPPORTED, "the driver reports no statistics");
    Gpu gpu = all[0];
    gpu.memory_budget = false;  // nothing will be stored, and what a fake has left is no matter
    // What e4m3 decodes to can't be tried here.
    vks_device device(gpu, read_options("statistics=1;fp8=half;" + options, ""));
    Table table(device);
    const std::vector<Question> questions = bench::deepseek_v3_questions();
    for (const Op* op : op_list()) {
        bool asked = false;
        for (const Question& question : questions) {
            if (question.op != op->id) continue;
            table.add(*op, question);
            asked = true;
        }
        if (!asked) table.fail({op->id, "", {}, {}}, "no shapes to compile it for");
    }
    return table.finish(file) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vks::test

int main(int argc, char** argv) {
    try {
        return vks::test::run(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : nullptr);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "vks_isa: %s\n", e.what());
        return 2;
    }
}
