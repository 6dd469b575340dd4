// The device and its table: memory, streams, copies and fences. Operators are kernel.cpp's and recording.cpp's.
#include "plugins/vulkan/device.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "plugins/vulkan/fp8_check.h"
#include "plugins/vulkan/kept_numbers.h"
#include "plugins/vulkan/matrices.h"
#include "plugins/vulkan/stream.h"

using namespace vks::vulkan;

namespace {

// Options take capabilities away, for tests and comparisons.
void limit(Caps& caps, const Options& options) {
    const uint64_t tier = options.tier.value_or(UINT64_MAX);
    if (tier < 1) caps.subgroup_arithmetic = caps.float16 = caps.storage16 = caps.storage8 = caps.int64 = false;
    if (tier < 2) caps.integer_dot = false;
    if (tier < 3) caps.matrix = {};
    if (tier < 4) caps.matrix8 = {};
    caps.software = options.software.value_or(caps.software);
    caps.max_binding = std::min(caps.max_binding, options.binding.value_or(UINT64_MAX));
    caps.max_buffers = uint32_t(std::min<uint64_t>(caps.max_buffers, options.buffers.value_or(UINT64_MAX)));
    caps.submission = options.submission.value_or(caps.submission);
    caps.addresses = caps.addresses && options.addresses;
}

}  // namespace

vks_device::vks_device(Gpu g) : gpu(std::move(g)) {}

// By way of the other, after which the destructor clears up behind whatever throws here.
vks_device::vks_device(Gpu g, const Options& options) : vks_device(std::move(g)) {
    limit(gpu.caps, options);
    if (!options.import.value_or(reads_mapped_files(gpu.driver_id))) gpu.import_alignment = 0;
    // Whatever the driver says is left; for devices that only compile.
    if (!options.budget) gpu.memory_budget = false;
    // Measured ones (bench tune) count where nothing asks for other ways.
    if (!options.tier && !options.software && options.numbers) load_numbers(gpu);
    statistics = gpu.pipeline_statistics && options.statistics;
    create();
    heap = std::make_unique<Heap>(gpu, handle, vk);
    pipelines = std::make_unique<Pipelines>(
        gpu, handle, vk, statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0, options.refuse);
    dummy = heap->allocate(256, Memory::kDevice);
    // Otherwise tried, which devices that only compile can't be.
    gpu.caps.fp8_by_half = options.fp8_by_half ? *options.fp8_by_half : decodes_fp8_by_half(*this);
    if (!options.fp8_by_half && !multiplies_float8(*this)) gpu.caps.matrix8 = {};
    check_alive();  // a loss in these trials is more than a wrong answer
}

void vks_device::create() {
    auto features12 =
        described<VkPhysicalDeviceVulkan12Features>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES);
    auto features11 =
        described<VkPhysicalDeviceVulkan11Features>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, &features12);
    auto executables = described<VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, &features11);
    executables.pipelineExecutableInfo = VK_TRUE;
    auto features =
        described<VkPhysicalDeviceFeatures2>(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                             statistics ? static_cast<const void*>(&executables) : &features11);
    auto dot = described<VkPhysicalDeviceShaderIntegerDotProductFeatures>(
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES);
    MatrixFeatures matrices;
    dot.shaderIntegerDotProduct = VK_TRUE;
    dot.pNext = matrices.chain(gpu.caps);
    features12.pNext = gpu.caps.integer_dot ? &dot : dot.pNext;
    features.features.shaderInt64 = gpu.caps.int64;
    features12.timelineSemaphore = VK_TRUE;
    features12.vulkanMemoryModel = features12.vulkanMemoryModelDeviceScope = bool(gpu.caps.matrix);
    features12.bufferDeviceAddress = gpu.caps.addresses;
    features12.shaderFloat16 = gpu.caps.float16;
    features12.storageBuffer8BitAccess = gpu.caps.storage8;
    features11.storageBuffer16BitAccess = gpu.caps.storage16;
    const float priority = 1;
    const VkDeviceQueueCreateInfo queues{
        VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, nullptr, 0, gpu.queue_family, 1, &priority};
    std::vector<const char*> extensions;
    if (gpu.memory_budget) extensions.push_back(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    if (statistics) extensions.push_back(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
    if (gpu.import_alignment) extensions.push_back(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    if (gpu.caps.matrix) extensions.push_back(kMatrixExtension);
    if (gpu.caps.matrix8) extensions.push_back(kFloat8Extension);
    if (gpu.calibrated_clock) extensions.push_back(gpu.calibrated_clock);
    if (gpu.portability) extensions.push_back("VK_KHR_portability_subset");
    auto info = described<VkDeviceCreateInfo>(VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &features);
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queues;
    info.enabledExtensionCount = uint32_t(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    vks::vulkan::vk_check(vkCreateDevice(gpu.handle, &info, nullptr, &handle), "vkCreateDevice");
    volkLoadDeviceTable(&vk, handle);
    vk.vkGetDeviceQueue(handle, gpu.queue_family, 0, &queue);
}

vks_device::~vks_device() {
    if (!handle) return;
    vk.vkDeviceWaitIdle(handle);
    pipelines.reset();
    heap.reset();
    vk.vkDestroyDevice(handle, nullptr);
}

void vks_device::check_alive() const {
    if (lost) throw Failure(VKS_DEVICE_LOST, "the device is lost");
}

void vks_device::check(VkResult result, const char* what) {
    if (result == VK_ERROR_DEVICE_LOST) lost = true;
    vks::vulkan::vk_check(result, what);
}

vks_fence::~vks_fence() {
    // Whoever waited no longer may destroy it while the queue still has it.
    const uint64_t last = queued;
    const VkSemaphoreWaitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, nullptr, 0, 1, &semaphore, &last};
    if (last > 0 && !device->lost) device->vk.vkWaitSemaphores(device->handle, &wait, UINT64_MAX);
    device->vk.vkDestroySemaphore(device->handle, semaphore, nullptr);
}

namespace vks::vulkan {
namespace {

// Throws unless none of the pointers is null and the device is alive.
template <class... P>
void need(const vks_device* device, const P*... pointers) {
    if (!device || (... || !pointers)) throw Failure(VKS_INVALID, "found a null argument");
    device->check_alive();
}

vks_status info(vks_device* device, vks_info* out, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(device, out);
        describe(device->gpu, out);
        return vks_status{VKS_OK};
    });
}

vks_status buffer_create(vks_device* device, uint64_t bytes, uint32_t kind, void* import, vks_buffer** out,
                         vks_error* error) noexcept {
    return guarded(error, [&] {
        need(device, out);
        *out = nullptr;
        if (kind > VKS_BUFFER_IMPORT) throw Failure(VKS_UNSUPPORTED, "buffer kind " + std::to_string(kind));
        if ((kind == VKS_BUFFER_IMPORT) != (import != nullptr))
            throw Failure(VKS_INVALID, "buffer: wanted a host range for IMPORT, and only then");
        auto buffer = std::make_unique<vks_buffer>();
        buffer->device = device;
        buffer->bytes = bytes;
        buffer->kind = kind;
        buffer->id = device->next_id();
        buffer->range = kind == VKS_BUFFER_IMPORT
                            ? device->heap->import(import, bytes)
                            : device->heap->allocate(bytes, kind == VKS_BUFFER_HOST ? Memory::kHost : Memory::kDevice);
        *out = buffer.release();
        return vks_status{VKS_OK};
    });
}

void buffer_destroy(vks_device* device, vks_buffer* buffer) noexcept {
    if (!device || !buffer) return;
    device->heap->release(buffer->range);
    delete buffer;
}

void* buffer_map(vks_device*, vks_buffer* buffer) noexcept {
    return buffer ? buffer->range.mapped : nullptr;
}

vks_status query_op(vks_device* device, const vks_op* op, vks_support* support, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(device, op, support);
        vks_support full{};
        const uint64_t size = std::min<uint64_t>(support->size, sizeof full);
        std::memcpy(&full, support, size);
        const vks_status status = query(*device, *op, full, error);
        std::memcpy(support, &full, size);
        return status;
    });
}

uint64_t packed_bytes(vks_device*, const vks_tensor* tensor) noexcept {
    bool ok = tensor && tensor->layout == VKS_ROW_MAJOR;
    return ok ? args::reach(*tensor, ok) : 0;
}

vks_status prepare_op(vks_device* device, const vks_op* op, vks_kernel** out, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(device, op, out);
        *out = nullptr;
        *out = prepare(*device, *op).release();
        return vks_status{VKS_OK};
    });
}

void kernel_destroy(vks_device*, vks_kernel* kernel) noexcept {
    delete kernel;
}

vks_status stream_create(vks_device* device, vks_stream** out, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(device, out);
        *out = nullptr;
        *out = std::make_unique<vks_stream>(*device).release();
        return vks_status{VKS_OK};
    });
}

void stream_destroy(vks_stream* stream) noexcept {
    delete stream;
}

vks_status copy(vks_stream* stream, const vks_tensor* from, const vks_tensor* to, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(stream ? &stream->device : nullptr, from, to);
        stream->copy(*from, *to);
        return vks_status{VKS_OK};
    });
}

vks_status launch(vks_stream* stream, vks_kernel* kernel, const vks_tensor* args, uint64_t count,
                  const vks_tensor* scratch, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(stream ? &stream->device : nullptr, kernel);
        stream->launch(*kernel, args, count, scratch);
        return vks_status{VKS_OK};
    });
}

vks_status wait(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(stream ? &stream->device : nullptr, fence);
        stream->wait(*fence, value);
        return vks_status{VKS_OK};
    });
}

vks_status submit(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(stream ? &stream->device : nullptr, fence);
        stream->submit(*fence, value);
        return vks_status{VKS_OK};
    });
}

vks_status fence_create(vks_device* device, vks_fence** out, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(device, out);
        *out = nullptr;
        auto fence = std::make_unique<vks_fence>();
        fence->device = device;
        const VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO, nullptr,
                                             VK_SEMAPHORE_TYPE_TIMELINE, 0};
        const VkSemaphoreCreateInfo create{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type, 0};
        device->check(device->vk.vkCreateSemaphore(device->handle, &create, nullptr, &fence->semaphore),
                      "vkCreateSemaphore");
        *out = fence.release();
        return vks_status{VKS_OK};
    });
}

vks_status fence_await(vks_fence* fence, uint64_t value, uint64_t ns, vks_error* error) noexcept {
    return guarded(error, [&] {
        need(fence ? fence->device : nullptr);
        vks_device& device = *fence->device;
        const VkSemaphoreWaitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, nullptr, 0, 1, &fence->semaphore, &value};
        // In slices: lavapipe 22.3 was seen to sleep on when the value had long been reached.
        constexpr uint64_t kSlice = 50'000'000;
        VkResult result = VK_TIMEOUT;
        for (uint64_t left = ns;; left -= kSlice) {
            result = device.vk.vkWaitSemaphores(device.handle, &wait, std::min(left, kSlice));
            if (result != VK_TIMEOUT || left <= kSlice) break;
        }
        if (result == VK_TIMEOUT)
            throw Failure(VKS_TIMEOUT,
                          "fence: value " + std::to_string(value) + " not reached in " + std::to_string(ns) + " ns");
        device.check(result, "vkWaitSemaphores");
        return vks_status{VKS_OK};
    });
}

void fence_destroy(vks_fence* fence) noexcept {
    delete fence;
}

}  // namespace

Bind locate(const vks_device& device, const vks_tensor& t, const char* what) {
    bool ok = true;
    const uint64_t bytes = args::reach(t, ok);
    const vks_buffer* buffer = t.buffer;
    const char* wrong = nullptr;
    if (!ok) {
        wrong = "bad dims or strides";
    } else if (!buffer || buffer->device != &device) {
        wrong = "no buffer of this device";
    } else if (t.offset > buffer->bytes || bytes > buffer->bytes - t.offset) {
        wrong = "a tensor that leaves its buffer";
    } else if (t.offset % uint64_t(std::max<int64_t>(1, abi::element_bytes(t.dtype))) != 0) {
        wrong = "an address that is no multiple of the element size";
    }
    if (wrong) throw Failure(VKS_INVALID, std::string(what) + ": found " + wrong);
    // cppcheck-suppress nullPointerRedundantCheck ; no buffer is something wrong
    return {buffer->range.buffer, buffer->range.offset + t.offset, bytes};
}

extern constinit const vks_device_api kDeviceApi = {
    .size = sizeof(vks_device_api),
    .info = info,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_map = buffer_map,
    .query = query_op,
    .packed_bytes = packed_bytes,
    .prepare = prepare_op,
    .kernel_destroy = kernel_destroy,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .copy = copy,
    .launch = launch,
    .wait = wait,
    .submit = submit,
    .fence_create = fence_create,
    .fence_await = fence_await,
    .fence_destroy = fence_destroy,
};

}  // namespace vks::vulkan
