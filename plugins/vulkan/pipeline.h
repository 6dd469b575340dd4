// Compute pipelines: made once per shader, workgroup and constants, in parallel, and kept on disk for the next start.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "plugins/vulkan/cache_file.h"
#include "plugins/vulkan/gpu.h"
#include "plugins/vulkan/op.h"
#include "plugins/vulkan/reflect.h"

namespace vks::vulkan {

// A shader on a device; its pipelines share these.
struct Shader {
    Reflection reflection;
    std::span<const uint32_t> code;
    VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
    VkPipelineLayout layout = VK_NULL_HANDLE;
};

struct Pipeline {
    const Shader* shader = nullptr;
    std::shared_future<VkPipeline> handle;  // get() waits, and throws what compiling it threw
};

// Thread-safe.
class Pipelines {
public:
    // `refuse`: Options has it.
    Pipelines(const Gpu& gpu, VkDevice device, const VolkDeviceTable& vk, VkPipelineCreateFlags flags,
              std::string refuse);
    ~Pipelines();  // writes the cache when it has grown
    Pipelines(const Pipelines&) = delete;
    Pipelines& operator=(const Pipelines&) = delete;

    // Starts compiling and returns at once. Throws if the program doesn't fit its shader or the device.
    const Pipeline& get(const Program& program);
    // From now on these words are that shader; none: the build's own again. Pipelines made of others stay until the
    // end. Throws if there is no such shader, or if they are no SPIR-V.
    void replace(const std::string& name, std::vector<uint32_t> words);
    std::span<const uint32_t> code(const std::string& name) const;

    uint64_t created() const { return created_; }
    uint64_t compiled() const { return compiled_; }  // of those, not kept from an earlier start

private:
    const Shader& shader(const std::string& name);
    VkPipeline compile(const Shader& shader, const Program& program);
    void work(const std::stop_token& stop);
    void count(uint64_t program, VkPipelineCreationFeedbackFlags feedback);
    void load_cache();
    void save_cache();

    const Gpu& gpu_;
    VkDevice device_;
    const VolkDeviceTable& vk_;
    const VkPipelineCreateFlags flags_;
    const std::string refuse_;
    std::filesystem::path cache_file_;  // empty: none
    VkPipelineCache cache_ = VK_NULL_HANDLE;
    CacheFile earlier_;          // as it was found; const while pipelines are made
    bool driver_keeps_ = false;  // something of its own in the cache's data
    std::atomic<uint64_t> created_{0}, compiled_{0};
    mutable std::mutex mutex_;  // guards what follows
    std::map<std::string, std::vector<uint32_t>> replaced_;
    std::map<std::string, std::unique_ptr<Shader>> shaders_;
    std::map<std::string, std::unique_ptr<Pipeline>> pipelines_;
    uint64_t retired_ = 0;     // shaders that were replaced: they and theirs are kept by other names
    std::set<uint64_t> made_;  // identities of the programs
    std::deque<std::packaged_task<VkPipeline()>> jobs_;
    std::condition_variable_any changed_;
    std::vector<std::jthread> workers_;
};

}  // namespace vks::vulkan
