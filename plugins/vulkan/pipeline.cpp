#include "plugins/vulkan/pipeline.h"

#include <algorithm>
#include <cstring>

namespace vks::vulkan {
namespace {

std::string key_of(const Program& program) {
    std::string key = program.shader + '/' + std::to_string(program.workgroup);
    for (const auto& [name, value] : program.constants) key += " " + name + '=' + std::to_string(value);
    if (program.subgroup != 0) key += " subgroup=" + std::to_string(program.subgroup);
    return key;
}

// The same program of another build may be another one: the shader's code is part of it.
uint64_t identity(const Shader& shader, const Program& program) {
    const std::string key = key_of(program);
    return checksum(std::as_bytes(shader.code), checksum(std::as_bytes(std::span(key))));
}

bool is_of(const std::string& shader, const std::string& name) {
    return shader.starts_with(name) && (shader.size() == name.size() || shader[name.size()] == '.');
}

// Whether the driver put anything of its own into the data of a cache.
bool holds_something(std::span<const char> data) {
    uint32_t header = 0;  // its length comes first
    if (data.size() < sizeof header) return false;
    std::memcpy(&header, data.data(), sizeof header);
    return data.size() > header;
}

}  // namespace

Pipelines::Pipelines(const Gpu& gpu, VkDevice device, const VolkDeviceTable& vk, VkPipelineCreateFlags flags,
                     std::string refuse)
    : gpu_(gpu), device_(device), vk_(vk), flags_(flags), refuse_(std::move(refuse)), cache_file_(cache_path(gpu)) {
    load_cache();
}

Pipelines::~Pipelines() {
    for (std::jthread& worker : workers_) worker.request_stop();
    changed_.notify_all();
    workers_.clear();
    jobs_.clear();
    save_cache();
    for (const auto& [key, pipeline] : pipelines_) {
        try {
            if (pipeline->handle.valid()) vk_.vkDestroyPipeline(device_, pipeline->handle.get(), nullptr);
        } catch (const std::exception&) {  // it was never made; whoever asked for it has heard why
        }
    }
    for (const auto& [name, shader] : shaders_) {
        vk_.vkDestroyPipelineLayout(device_, shader->layout, nullptr);
        vk_.vkDestroyDescriptorSetLayout(device_, shader->set_layout, nullptr);
    }
    vk_.vkDestroyPipelineCache(device_, cache_, nullptr);
}

void Pipelines::load_cache() {
    earlier_ = read_cache(cache_file_, gpu_);
    driver_keeps_ = holds_something(earlier_.data);
    auto info = described<VkPipelineCacheCreateInfo>(VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO);
    info.initialDataSize = earlier_.data.size();
    info.pInitialData = earlier_.data.data();
    vk_check(vk_.vkCreatePipelineCache(device_, &info, nullptr, &cache_), "vkCreatePipelineCache");
}

void Pipelines::save_cache() {
    if (cache_file_.empty() || compiled_ == 0) return;
    size_t bytes = 0;
    if (vk_.vkGetPipelineCacheData(device_, cache_, &bytes, nullptr) != VK_SUCCESS || bytes == 0) return;
    CacheFile now;
    now.data.resize(bytes);
    if (vk_.vkGetPipelineCacheData(device_, cache_, &bytes, now.data.data()) != VK_SUCCESS) return;
    now.data.resize(bytes);
    now.programs = std::move(made_);
    now.programs.merge(earlier_.programs);
    write_cache(cache_file_, gpu_, now);
}

const Shader& Pipelines::shader(const std::string& name) {
    if (const auto found = shaders_.find(name); found != shaders_.end()) return *found->second;
    auto made = std::make_unique<Shader>();
    const auto given = replaced_.find(name);
    made->code = given == replaced_.end() ? find_shader(name) : given->second;
    made->reflection = reflect(made->code);
    if (made->reflection.push_bytes > gpu_.properties.limits.maxPushConstantsSize)
        throw Failure(VKS_UNSUPPORTED, "shader " + name + ": more push constants than the device takes");
    if (made->reflection.bindings.size() > gpu_.caps.max_buffers)
        throw Failure(VKS_UNSUPPORTED, "shader " + name + ": more buffers than the device takes");
    std::vector<VkDescriptorSetLayoutBinding> bindings;
    for (uint32_t i = 0; i < made->reflection.bindings.size(); ++i)
        bindings.push_back({i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr});
    auto set = described<VkDescriptorSetLayoutCreateInfo>(VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO);
    set.bindingCount = uint32_t(bindings.size());
    set.pBindings = bindings.data();
    vk_check(vk_.vkCreateDescriptorSetLayout(device_, &set, nullptr, &made->set_layout), "vkCreateDescriptorSetLayout");
    const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, made->reflection.push_bytes};
    auto layout = described<VkPipelineLayoutCreateInfo>(VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO);
    layout.setLayoutCount = 1;
    layout.pSetLayouts = &made->set_layout;
    layout.pushConstantRangeCount = push.size > 0 ? 1 : 0;
    layout.pPushConstantRanges = &push;
    const VkResult result = vk_.vkCreatePipelineLayout(device_, &layout, nullptr, &made->layout);
    if (result != VK_SUCCESS) vk_.vkDestroyDescriptorSetLayout(device_, made->set_layout, nullptr);
    vk_check(result, "vkCreatePipelineLayout");
    return *shaders_.emplace(name, std::move(made)).first->second;
}

VkPipeline Pipelines::compile(const Shader& shader, const Program& program) {
    std::vector<VkSpecializationMapEntry> entries = {{0, 0, sizeof(uint32_t)}};
    std::vector<uint32_t> values = {program.workgroup};
    for (const auto& [name, value] : program.constants) {
        entries.push_back(
            {shader.reflection.constants.at(name), uint32_t(values.size() * sizeof(uint32_t)), sizeof(uint32_t)});
        values.push_back(value);
    }
    auto code = described<VkShaderModuleCreateInfo>(VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO);
    code.codeSize = shader.code.size_bytes();
    code.pCode = shader.code.data();
    VkShaderModule module = VK_NULL_HANDLE;
    vk_check(vk_.vkCreateShaderModule(device_, &code, nullptr, &module), "vkCreateShaderModule");
    const VkSpecializationInfo specialization{uint32_t(entries.size()), entries.data(),
                                              values.size() * sizeof(uint32_t), values.data()};
    VkPipelineCreationFeedback feedback{};
    const VkPipelineCreationFeedbackCreateInfo ask{VK_STRUCTURE_TYPE_PIPELINE_CREATION_FEEDBACK_CREATE_INFO, nullptr,
                                                   &feedback, 0, nullptr};
    auto info = described<VkComputePipelineCreateInfo>(VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO);
    if (gpu_.properties.apiVersion >= VK_API_VERSION_1_3) info.pNext = &ask;
    info.flags = flags_;
    info.stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  nullptr,
                  0,
                  VK_SHADER_STAGE_COMPUTE_BIT,
                  module,
                  "main",
                  &specialization};
    auto subgroups = described<VkPipelineShaderStageRequiredSubgroupSizeCreateInfo>(
        VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO);
    subgroups.requiredSubgroupSize = program.subgroup;
    if (program.subgroup != 0) {
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
        info.stage.pNext = &subgroups;
    }
    info.layout = shader.layout;
    VkPipeline pipeline = VK_NULL_HANDLE;
    VkResult result = VK_ERROR_UNKNOWN;
    if (refuse_.empty() || !is_of(program.shader, refuse_))
        result = vk_.vkCreateComputePipelines(device_, cache_, 1, &info, nullptr, &pipeline);
    vk_.vkDestroyShaderModule(device_, module, nullptr);
    try {
        vk_check(result, "vkCreateComputePipelines");
    } catch (const Failure& failure) {
        // A compiler that can't make this one; others may well run.
        const std::string text = std::string(failure.what()) + ": " + key_of(program);
        throw Failure(failure.status == VKS_INTERNAL ? VKS_UNSUPPORTED : failure.status, text, result);
    }
    count(identity(shader, program), feedback.flags);
    return pipeline;
}

// Drivers say whether a pipeline was in the cache. Those that put nothing into it never say yes: lavapipe keeps
// compiled code in files of its own, where nobody else can look. There a pipeline counts as kept when its program was
// made before our file was written: then the driver had every chance to keep it, and asking for it again is no news to
// it.
void Pipelines::count(uint64_t program, VkPipelineCreationFeedbackFlags feedback) {
    const bool told = driver_keeps_ && (feedback & VK_PIPELINE_CREATION_FEEDBACK_VALID_BIT);
    const bool hit = feedback & VK_PIPELINE_CREATION_FEEDBACK_APPLICATION_PIPELINE_CACHE_HIT_BIT;
    const bool kept = told ? hit : earlier_.programs.contains(program);
    ++created_;
    if (!kept) ++compiled_;
    const std::lock_guard lock(mutex_);
    made_.insert(program);
}

const Pipeline& Pipelines::get(const Program& program) {
    const std::lock_guard lock(mutex_);
    const std::string key = key_of(program);
    if (const auto found = pipelines_.find(key); found != pipelines_.end()) return *found->second;
    const Shader& with = shader(program.shader);
    if (program.workgroup == 0 || program.workgroup > gpu_.caps.max_invocations)
        throw Failure(VKS_UNSUPPORTED, "shader " + program.shader + ": wanted a workgroup of at most " +
                                           std::to_string(gpu_.caps.max_invocations) + ", found " +
                                           std::to_string(program.workgroup));
    for (const auto& [name, value] : program.constants)
        if (!with.reflection.constants.contains(name))
            throw Failure(VKS_INTERNAL, "shader " + program.shader + ": no constant " + name);
    auto made = std::make_unique<Pipeline>();
    made->shader = &with;
    std::packaged_task<VkPipeline()> job([this, &with, program] { return compile(with, program); });
    made->handle = job.get_future().share();
    // First, as a thread can be refused, too.
    const size_t most = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
    if (workers_.size() < most) workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    jobs_.push_back(std::move(job));
    changed_.notify_one();
    return *pipelines_.emplace(key, std::move(made)).first->second;
}

void Pipelines::replace(const std::string& name, std::vector<uint32_t> words) {
    if (!has_shader(name)) throw Failure(VKS_INVALID, "no shader " + name + " in this build");
    if (!words.empty()) reflect(words);
    const std::lock_guard lock(mutex_);
    const std::string old = "retired " + std::to_string(++retired_) + ' ';
    const auto retire = [&](auto& map, const std::string& key) {
        auto node = map.extract(key);
        if (node.empty()) return;
        node.key() = old + key;
        map.insert(std::move(node));
    };
    std::vector<std::string> keys;
    for (const auto& [key, pipeline] : pipelines_)
        if (key.starts_with(name + '/')) keys.push_back(key);
    for (const std::string& key : keys) retire(pipelines_, key);
    retire(shaders_, name);
    retire(replaced_, name);
    if (!words.empty()) replaced_[name] = std::move(words);
}

std::span<const uint32_t> Pipelines::code(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto given = replaced_.find(name);
    return given == replaced_.end() ? find_shader(name) : given->second;
}

// Compiles until told to stop; jobs still waiting then are dropped, and nobody waits for them any more.
void Pipelines::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !jobs_.empty(); })) {
        if (stop.stop_requested()) return;
        std::packaged_task<VkPipeline()> job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        lock.lock();
    }
}

}  // namespace vks::vulkan
