// The entry points of the remote test plugin. Two devices; options of open: delay_us, private=0, est_ns, ops=a,b,
// fail_prepare=op, fail_launch=op, fail_run=op, wrong=op, unsteady=op, stray=op, lose_after=N (see Faults),
// fail_open=device. Behind them come those of $REMOTE_OPTIONS, for programs that give none.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "tests/plugins/remote/device.h"

namespace vks::remote {
namespace {

using abi::fail;
using abi::guard;

vks_status describe(vks_info* out, uint32_t index) {
    vks_info full{};
    full.size = out->size;
    std::snprintf(full.name, sizeof full.name, "remote %u", index);
    std::snprintf(full.detail, sizeof full.detail, "a discrete device made of threads");
    full.bytes_total = full.bytes_free = full.max_buffer = full.max_binding = uint64_t{1} << 30;
    full.memory_bytes_per_s = 100'000'000'000;
    full.link_bytes_per_s = 8'000'000'000;
    full.alignment = 256;
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
    return VKS_OK;
}

vks_status info(vks_device*, vks_info* out, vks_error*) noexcept {
    return describe(out, 0);
}

vks_status lost(const vks_device* device, vks_error* error) {
    return device->lost ? fail(error, VKS_DEVICE_LOST, "remote: the device was lost") : vks_status{VKS_OK};
}

vks_status buffer_create(vks_device* device, uint64_t bytes, uint32_t kind, void*, vks_buffer** out,
                         vks_error* error) noexcept {
    return guard(error, [&] {
        if (const vks_status status = lost(device, error)) return status;
        if (kind == VKS_BUFFER_IMPORT) return fail(error, VKS_UNSUPPORTED, "remote: no access to host memory");
        if (kind > VKS_BUFFER_IMPORT) return fail(error, VKS_UNSUPPORTED, "remote: buffer kind %u", kind);
        if (bytes > uint64_t{1} << 30) return fail(error, VKS_NO_MEMORY, "remote: the device has 1 GiB");
        auto buffer = std::make_unique<vks_buffer>();
        buffer->device = device;
        buffer->host = kind == VKS_BUFFER_HOST;
        buffer->bytes.assign(bytes, std::byte{0xff});  // NaN in every float: what isn't written shows
        ++device->objects;
        *out = buffer.release();
        return vks_status{VKS_OK};
    });
}

void buffer_destroy(vks_device* device, vks_buffer* buffer) noexcept {
    if (!buffer) return;
    if (buffer->uses != 0) broken("a buffer is destroyed while work uses it");
    --device->objects;
    delete buffer;
}

void* buffer_map(vks_device*, vks_buffer* buffer) noexcept {
    return buffer && buffer->host ? buffer->bytes.data() : nullptr;
}

vks_status query(vks_device* device, const vks_op* op, vks_support* out, vks_error* error) noexcept {
    return guard(error, [&] {
        vks_support full{};
        const uint64_t size = std::min<uint64_t>(out->size, sizeof full);
        std::memcpy(&full, out, size);
        full.verdict = look_up(*device, *op, full.arg_layout, nullptr, error);
        full.est_ns = device->est_ns;
        std::snprintf(full.variant, sizeof full.variant, "threads");
        std::memcpy(out, &full, size);
        return vks_status{VKS_OK};
    });
}

uint64_t packed_bytes(vks_device*, const vks_tensor* tensor) noexcept {
    return bytes_of(*tensor);
}

vks_status prepare(vks_device* device, const vks_op* op, vks_kernel** out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (const vks_status status = lost(device, error)) return status;
        auto kernel = std::make_unique<vks_kernel>();
        if (const vks_status status = look_up(*device, *op, nullptr, kernel.get(), error)) return status;
        if (kernel->op == device->faults.prepare)
            return fail(error, VKS_NO_MEMORY, "remote: %s was told to fail", op->op);
        kernel->device = device;
        const auto* params = static_cast<const std::byte*>(op->params);
        if (op->params_size) kernel->params.assign(params, params + op->params_size);
        kernel->args.assign(op->args, op->args + op->arg_count);
        for (uint32_t i = 0; i < op->arg_count; ++i) {
            const vks_tensor& t = op->args[i];
            if (t.dtype == VKS_NONE) continue;
            if (!(t.flags & VKS_TENSOR_CONSTANT)) {
                kernel->given.push_back(i);
            } else if (!address(t) || t.buffer->host) {
                return fail(error, VKS_INVALID, "remote: a constant outside device memory");
            }
        }
        ++device->objects;
        *out = kernel.release();
        return vks_status{VKS_OK};
    });
}

void kernel_destroy(vks_device* device, vks_kernel* kernel) noexcept {
    if (!kernel) return;
    if (kernel->uses != 0) broken("a kernel is destroyed while work uses it");
    --device->objects;
    delete kernel;
}

vks_status stream_create(vks_device* device, vks_stream** out, vks_error* error) noexcept {
    return guard(error, [&] {
        *out = new vks_stream(device);
        return vks_status{VKS_OK};
    });
}

void stream_destroy(vks_stream* stream) noexcept {
    delete stream;
}

vks_status copy_tensor(vks_stream* stream, const vks_tensor* from, const vks_tensor* to, vks_error* error) noexcept {
    return guard(error, [&] {
        if (const vks_status status = lost(stream->device, error)) return status;
        bool same = from->dtype == to->dtype && from->rank == to->rank && abi::element_bytes(from->dtype) != 0;
        for (uint32_t i = 0; same && i < from->rank; ++i) same = from->dim[i] == to->dim[i];
        if (!same) return fail(error, VKS_INVALID, "copy: wanted one known dtype and the same dims on both sides");
        for (const vks_tensor* t : {from, to}) {
            const bool known = t->layout == VKS_ROW_MAJOR ? abi::contiguous(*t) : t->layout == kReversed;
            if (!known || t->flags) return fail(error, VKS_UNSUPPORTED, "copy: found a layout that isn't known here");
            if (!address(*t)) return fail(error, VKS_INVALID, "copy: found a tensor outside its buffer");
        }
        Work work;
        work.from = *from;
        work.to = *to;
        stream->record(work);
        return vks_status{VKS_OK};
    });
}

vks_status launch(vks_stream* stream, vks_kernel* kernel, const vks_tensor* args, uint64_t count, const vks_tensor*,
                  vks_error* error) noexcept {
    return guard(error, [&] {
        if (const vks_status status = lost(stream->device, error)) return status;
        if (kernel->op == stream->device->faults.launch)
            return fail(error, VKS_INTERNAL, "remote: %s was told to fail", kernel->op.c_str());
        if (count != kernel->given.size())
            return fail(error, VKS_INVALID, "launch arguments: wanted %zu, found %llu", kernel->given.size(),
                        static_cast<unsigned long long>(count));
        Work work;
        work.kernel = kernel;
        work.args = kernel->args;
        for (uint64_t i = 0; i < count; ++i) {
            const vks_tensor& declared = kernel->args[kernel->given[i]];
            bool fits = args[i].dtype == declared.dtype && args[i].rank == declared.rank && args[i].flags == 0;
            for (uint32_t a = 0; fits && a < declared.rank; ++a)
                fits = declared.dim[a] < 0 ? args[i].dim[a] >= 0 && args[i].dim[a] <= -declared.dim[a]
                                           : args[i].dim[a] == declared.dim[a];
            if (!fits || !address(args[i]) || args[i].buffer->host || args[i].offset % 256 != 0)
                return fail(error, VKS_INVALID, "%s argument %u: wanted what was prepared, aligned, in device memory",
                            kernel->op.c_str(), kernel->given[i]);
            work.args[kernel->given[i]] = args[i];
        }
        stream->record(work);
        return vks_status{VKS_OK};
    });
}

vks_status wait(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) noexcept {
    return guard(error, [&] {
        Work work;
        work.await = fence;
        work.await_value = value;
        stream->record(work);
        return vks_status{VKS_OK};
    });
}

vks_status submit(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error* error) noexcept {
    return guard(error, [&] {
        Work work;
        work.signal = fence;
        work.signal_value = value;
        stream->record(work);
        stream->submit();
        return vks_status{VKS_OK};
    });
}

vks_status fence_create(vks_device* device, vks_fence** out, vks_error* error) noexcept {
    return guard(error, [&] {
        auto fence = std::make_unique<vks_fence>();
        fence->device = device;
        ++device->objects;
        *out = fence.release();
        return vks_status{VKS_OK};
    });
}

vks_status fence_await(vks_fence* fence, uint64_t value, uint64_t ns, vks_error* error) noexcept {
    return guard(error, [&] {
        std::unique_lock lock(fence->mutex);
        const auto nanoseconds = std::chrono::nanoseconds(std::min<uint64_t>(ns, uint64_t{1} << 60));
        const auto until = std::chrono::steady_clock::now() + nanoseconds;
        if (!fence->changed.wait_until(lock, until, [&] { return fence->value >= value; }))
            return fail(error, VKS_TIMEOUT, "remote: fence at %llu of %llu",
                        static_cast<unsigned long long>(fence->value), static_cast<unsigned long long>(value));
        return fence->status == VKS_OK ? vks_status{VKS_OK} : fail(error, fence->status, "%s", fence->text.c_str());
    });
}

void fence_destroy(vks_fence* fence) noexcept {
    if (!fence) return;
    --fence->device->objects;
    delete fence;
}

constexpr vks_device_api kDevice = {
    sizeof(vks_device_api),
    info,
    buffer_create,
    buffer_destroy,
    buffer_map,
    query,
    packed_bytes,
    prepare,
    kernel_destroy,
    stream_create,
    stream_destroy,
    copy_tensor,
    launch,
    wait,
    submit,
    fence_create,
    fence_await,
    fence_destroy,
};

constexpr uint32_t kDevices = 2;

vks_status enumerate(uint32_t index, vks_info* out, vks_error* error) noexcept {
    return index < kDevices ? describe(out, index) : fail(error, VKS_UNSUPPORTED, "remote: there are two devices");
}

// The value of `key` in "key=value;key=value", or empty.
std::string option(const std::string& options, const std::string& key) {
    const std::string list = ";" + options, wanted = ";" + key + "=";
    const size_t at = list.find(wanted);
    if (at == std::string::npos) return {};
    const size_t first = at + wanted.size();
    return list.substr(first, list.find(';', first) - first);
}

int64_t number(const std::string& text, int64_t otherwise) {
    int64_t value = otherwise;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

vks_status open(const vks_host*, uint32_t index, const char* text, vks_device** out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (index >= kDevices) return fail(error, VKS_UNSUPPORTED, "remote: there are two devices");
        const char* more = std::getenv("REMOTE_OPTIONS");
        const std::string options = std::string(text ? text : "") + ";" + (more ? more : "");
        if (option(options, "fail_open") == std::to_string(index))
            return fail(error, VKS_INTERNAL, "remote: told not to open");
        auto device = std::make_unique<vks_device>();
        device->faults.prepare = option(options, "fail_prepare");
        device->faults.launch = option(options, "fail_launch");
        device->faults.run = option(options, "fail_run");
        device->faults.wrong = option(options, "wrong");
        device->faults.unsteady = option(options, "unsteady");
        device->faults.stray = option(options, "stray");
        device->faults.lose_after = number(option(options, "lose_after"), -1);
        device->faults.delay_us = number(option(options, "delay_us"), 0);
        device->left = device->faults.lose_after;
        device->private_layouts = option(options, "private") != "0";
        device->est_ns = uint64_t(number(option(options, "est_ns"), 0));
        device->ops = option(options, "ops");
        *out = device.release();
        return vks_status{VKS_OK};
    });
}

void close(vks_device* device) noexcept {
    if (!device) return;
    if (device->objects != 0) broken("the device is closed before what was created on it is destroyed");
    delete device;
}

const void* extension(const char*) noexcept {
    return nullptr;
}

constexpr vks_plugin kPlugin = {
    sizeof(vks_plugin), VKS_ABI_MAJOR, VKS_ABI_MINOR, "remote", "test",    kOps,
    &kDevice,           enumerate,     open,          close,    extension,
};

const vks_plugin* negotiate(uint32_t major, uint32_t, vks_error* error) noexcept {
    if (major == VKS_ABI_MAJOR) return &kPlugin;
    fail(error, VKS_UNSUPPORTED, "interface version: wanted %u, found %u", VKS_ABI_MAJOR, major);
    return nullptr;
}

}  // namespace
}  // namespace vks::remote

extern "C" VKS_EXPORT const vks_entry vks_plugin_entry = {
    sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, vks::remote::negotiate,
};
