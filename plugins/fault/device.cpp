// The device table: every call goes through to the wrapped device, unless it is the one that is to fail.
#include "plugins/fault/device.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <thread>
#include <utility>

namespace vks::fault {
namespace {

using abi::fail;

constexpr uint64_t kLongest = 3'600'000'000'000;  // ns of a wait that is to be in vain

vks_status lost(const vks_device& device, vks_error* error) {
    return device.lost ? fail(error, VKS_DEVICE_LOST, "lost before, as told") : vks_status{VKS_OK};
}

vks_status info(vks_device* device, vks_info* out, vks_error* error) {
    return describe(out, [&](vks_info* inner) { return device->api->info(device->inner, inner, error); });
}

vks_status buffer_create(vks_device* device, uint64_t bytes, uint32_t kind, void* import, vks_buffer** out,
                         vks_error* error) {
    if (const vks_status status = lost(*device, error)) return status;
    if (device->counter.strikes(Place::kBuffer, "")) return strike(*device, "a buffer", error);
    return device->api->buffer_create(device->inner, bytes, kind, import, out, error);
}
void buffer_destroy(vks_device* device, vks_buffer* buffer) {
    must_not_hang(*device, "memory");
    device->api->buffer_destroy(device->inner, buffer);
}
void* buffer_map(vks_device* device, vks_buffer* buffer) {
    return device->api->buffer_map(device->inner, buffer);
}

vks_status query(vks_device* device, const vks_op* op, vks_support* out, vks_error* error) {
    if (const vks_status status = lost(*device, error)) return status;
    if (device->counter.strikes(Place::kQuery, op->op)) return strike(*device, op->op, error);
    return device->api->query(device->inner, op, out, error);
}
uint64_t packed_bytes(vks_device* device, const vks_tensor* tensor) {
    return device->api->packed_bytes(device->inner, tensor);
}

vks_status prepare(vks_device* device, const vks_op* op, vks_kernel** out, vks_error* error) {
    if (const vks_status status = lost(*device, error)) return status;
    if (device->counter.strikes(Place::kPrepare, op->op)) return strike(*device, op->op, error);
    auto kernel = std::make_unique<vks_kernel>();
    kernel->device = device;
    kernel->op = op->op;
    const vks_status status = device->api->prepare(device->inner, op, &kernel->inner, error);
    *out = status == VKS_OK ? kernel.release() : nullptr;
    return status;
}
void kernel_destroy(vks_device* device, vks_kernel* kernel) {
    must_not_hang(*device, "a kernel");
    device->api->kernel_destroy(device->inner, kernel->inner);
    delete kernel;
}

vks_status stream_create(vks_device* device, vks_stream** out, vks_error* error) {
    if (const vks_status status = lost(*device, error)) return status;
    if (device->counter.strikes(Place::kStream, "")) return strike(*device, "a stream", error);
    auto stream = std::make_unique<vks_stream>();
    stream->device = device;
    const vks_status status = device->api->stream_create(device->inner, &stream->inner, error);
    *out = status == VKS_OK ? stream.release() : nullptr;
    return status;
}
void stream_destroy(vks_stream* stream) {
    must_not_hang(*stream->device, "a stream");
    stream->device->api->stream_destroy(stream->inner);
    delete stream;
}

vks_status copy(vks_stream* stream, const vks_tensor* from, const vks_tensor* to, vks_error* error) {
    vks_device& device = *stream->device;
    if (const vks_status status = lost(device, error)) return status;
    if (device.counter.strikes(Place::kCopy, "")) return strike(device, "a copy", error);
    return stream->hangs ? vks_status{VKS_OK} : device.api->copy(stream->inner, from, to, error);
}

vks_status launch(vks_stream* stream, vks_kernel* kernel, const vks_tensor* args, uint64_t count,
                  const vks_tensor* scratch, vks_error* error) {
    vks_device& device = *stream->device;
    if (const vks_status status = lost(device, error)) return status;
    stream->launched = true;
    const Harm harm = device.counter.fault().harm;
    const bool numbers = harm == Harm::kNan || harm == Harm::kWrong;
    const bool now = device.counter.strikes(Place::kLaunch, kernel->op);
    if (now && harm == Harm::kHang) stream->hangs = device.hangs = true;
    if (stream->hangs) return VKS_OK;
    if (now && !numbers) return strike(device, kernel->op.c_str(), error);
    if (device.counter.strikes(Place::kAwait, kernel->op)) stream->fails = kernel->op;
    const vks_status status = device.api->launch(stream->inner, kernel->inner, args, count, scratch, error);
    return now && status == VKS_OK ? spoil(*stream, args, count, error) : status;
}

vks_status wait(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) {
    if (const vks_status status = lost(*stream->device, error)) return status;
    if (stream->hangs) return VKS_OK;
    return stream->device->api->wait(stream->inner, fence->inner, value, error);
}

vks_status submit(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) {
    vks_device& device = *stream->device;
    if (const vks_status status = lost(device, error)) return status;
    if (std::exchange(stream->launched, false)) device.counter.stepped();
    const std::lock_guard lock(fence->mutex);
    if (stream->hangs) {
        fence->hangs_from = std::min(fence->hangs_from, value);
        return VKS_OK;
    }
    if (!stream->fails.empty() && fence->fails.empty()) {
        fence->fails = std::exchange(stream->fails, "");
        fence->fails_from = value;
    }
    return device.api->submit(stream->inner, fence->inner, value, error);
}

vks_status fence_create(vks_device* device, vks_fence** out, vks_error* error) {
    if (const vks_status status = lost(*device, error)) return status;
    if (device->counter.strikes(Place::kFence, "")) return strike(*device, "a fence", error);
    auto fence = std::make_unique<vks_fence>();
    fence->device = device;
    const vks_status status = device->api->fence_create(device->inner, &fence->inner, error);
    *out = status == VKS_OK ? fence.release() : nullptr;
    return status;
}

vks_status fence_await(vks_fence* fence, uint64_t value, uint64_t ns, vks_error* error) {
    vks_device& device = *fence->device;
    const auto reaches = [&](uint64_t vks_fence::*from) {
        const std::lock_guard lock(fence->mutex);
        return value >= fence->*from;
    };
    if (reaches(&vks_fence::hangs_from)) {
        std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(ns, kLongest)));
        return fail(error, VKS_TIMEOUT, "told to hang");
    }
    if (const vks_status status = lost(device, error)) return status;
    const vks_status status = device.api->fence_await(fence->inner, value, ns, error);
    if (status != VKS_OK || !reaches(&vks_fence::fails_from)) return status;
    std::unique_lock lock(fence->mutex);
    fence->fails_from = UINT64_MAX;  // told once
    const std::string op = std::exchange(fence->fails, "");
    lock.unlock();
    // Out of a thread of its own, as a plugin's worker would: what it throws goes on in who waits for it.
    return std::async(std::launch::async, [&] { return strike(device, op.c_str(), error); }).get();
}
void fence_destroy(vks_fence* fence) {
    must_not_hang(*fence->device, "a fence");
    fence->device->api->fence_destroy(fence->inner);
    delete fence;
}

}  // namespace

void must_not_hang(const vks_device& device, const char* what) {
    if (!device.hangs) return;
    std::fprintf(stderr, "fault: %s is taken from a device that hangs\n", what);
    std::abort();
}

extern constinit const vks_device_api kDeviceApi = {
    .size = sizeof(vks_device_api),
    .info = info,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_map = buffer_map,
    .query = query,
    .packed_bytes = packed_bytes,
    .prepare = prepare,
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

}  // namespace vks::fault
