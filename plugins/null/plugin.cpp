// A plugin that accepts every operator of any name and computes nothing: for planner tests and launch-overhead
// benchmarks, and a template to start a plugin from. Outputs keep whatever their memory held.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "backend/abi/plugin.hpp"

// The handles are the plugin's own types; the core only passes them back.
struct vks_device {};
struct vks_buffer {
    std::vector<std::byte> storage;
    void* data = nullptr;
};
struct vks_kernel {
    uint64_t launch_args = 0;  // those without a buffer at prepare
};
struct vks_stream {};
struct vks_fence {
    std::atomic<uint64_t> value{0};
};

namespace {

using vks::abi::fail;
using vks::abi::guard;

constexpr uint64_t kMemory = uint64_t{1} << 40;

// Writes what the caller's `size` covers, as every callee must.
vks_status describe(vks_info* out) {
    vks_info full{};
    full.size = out->size;
    std::strcpy(full.name, "null");
    std::strcpy(full.detail, "computes nothing");
    full.bytes_total = full.bytes_free = full.max_buffer = full.max_binding = kMemory;
    full.alignment = 64;
    full.flags = VKS_DEVICE_SOFTWARE | VKS_DEVICE_HOST_MEMORY;
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
    return VKS_OK;
}

vks_status info(vks_device*, vks_info* out, vks_error*) noexcept {
    return describe(out);
}

vks_status buffer_create(vks_device*, uint64_t bytes, uint32_t kind, void* import, vks_buffer** out,
                         vks_error* error) noexcept {
    return guard(error, [&] {
        if (kind > VKS_BUFFER_IMPORT) return fail(error, VKS_UNSUPPORTED, "buffer: no kind %u", kind);
        if ((kind == VKS_BUFFER_IMPORT) != (import != nullptr))
            return fail(error, VKS_INVALID, "buffer: wanted a host range for IMPORT, and only then");
        if (bytes > kMemory) return fail(error, VKS_NO_MEMORY, "buffer: wanted at most 1 TiB");
        auto buffer = std::make_unique<vks_buffer>();
        if (kind != VKS_BUFFER_IMPORT) buffer->storage.resize(bytes);
        buffer->data = kind == VKS_BUFFER_IMPORT ? import : buffer->storage.data();
        *out = buffer.release();
        return vks_status{VKS_OK};
    });
}
void buffer_destroy(vks_device*, vks_buffer* buffer) noexcept {
    delete buffer;
}
void* buffer_map(vks_device*, vks_buffer* buffer) noexcept {
    return buffer->data;
}

// A real plugin looks at op->op, params and args here, and answers UNSUPPORTED with a reason to what it can't do.
vks_status query(vks_device*, const vks_op* op, vks_support* out, vks_error*) noexcept {
    vks_support full{};
    full.size = out->size;
    full.verdict = VKS_OK;
    full.est_ns = 1;
    if (out->size >= offsetof(vks_support, variant)) full.arg_layout = out->arg_layout;
    if (full.arg_layout) std::fill_n(full.arg_layout, op->arg_count, uint32_t{VKS_ROW_MAJOR});
    std::strcpy(full.variant, "null");
    std::memcpy(out, &full, std::min<uint64_t>(out->size, sizeof full));
    return VKS_OK;
}

uint64_t packed_bytes(vks_device*, const vks_tensor* t) noexcept {
    return static_cast<uint64_t>(vks::abi::element_count(*t) * vks::abi::element_bytes(t->dtype));
}

vks_status prepare(vks_device*, const vks_op* op, vks_kernel** out, vks_error* error) noexcept {
    return guard(error, [&] {
        auto kernel = std::make_unique<vks_kernel>();
        for (uint64_t i = 0; i < op->arg_count; ++i) {
            if (op->args[i].dtype != VKS_NONE && !op->args[i].buffer) ++kernel->launch_args;
        }
        *out = kernel.release();
        return vks_status{VKS_OK};
    });
}
void kernel_destroy(vks_device*, vks_kernel* kernel) noexcept {
    delete kernel;
}

vks_status stream_create(vks_device*, vks_stream** out, vks_error* error) noexcept {
    return guard(error, [&] {
        *out = new vks_stream;
        return vks_status{VKS_OK};
    });
}
void stream_destroy(vks_stream* stream) noexcept {
    delete stream;
}

vks_status copy(vks_stream*, const vks_tensor*, const vks_tensor*, vks_error*) noexcept {
    return VKS_OK;
}

vks_status launch(vks_stream*, vks_kernel* kernel, const vks_tensor*, uint64_t count, const vks_tensor*,
                  vks_error* error) noexcept {
    if (count == kernel->launch_args) return VKS_OK;
    return fail(error, VKS_INVALID, "launch arguments: wanted %llu, found %llu",
                static_cast<unsigned long long>(kernel->launch_args), static_cast<unsigned long long>(count));
}

vks_status wait(vks_stream*, vks_fence*, uint64_t, vks_error*) noexcept {
    return VKS_OK;
}
vks_status submit(vks_stream*, vks_fence* fence, uint64_t value, vks_error*) noexcept {
    fence->value = value;
    return VKS_OK;
}
vks_status fence_create(vks_device*, vks_fence** out, vks_error* error) noexcept {
    return guard(error, [&] {
        *out = new vks_fence;
        return vks_status{VKS_OK};
    });
}
vks_status fence_await(vks_fence* fence, uint64_t value, uint64_t, vks_error* error) noexcept {
    return fence->value >= value ? vks_status{VKS_OK} : fail(error, VKS_TIMEOUT, "fence: nothing more will reach it");
}
void fence_destroy(vks_fence* fence) noexcept {
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
    copy,
    launch,
    wait,
    submit,
    fence_create,
    fence_await,
    fence_destroy,
};

vks_status enumerate(uint32_t index, vks_info* out, vks_error* error) noexcept {
    return index == 0 ? describe(out) : fail(error, VKS_UNSUPPORTED, "null: there is one device");
}
vks_status open(const vks_host*, uint32_t index, const char*, vks_device** out, vks_error* error) noexcept {
    return guard(error, [&] {
        if (index != 0) return fail(error, VKS_UNSUPPORTED, "null: there is one device");
        *out = new vks_device;
        return vks_status{VKS_OK};
    });
}
void close(vks_device* device) noexcept {
    delete device;
}
const void* extension(const char*) noexcept {
    return nullptr;
}

constexpr const char* kOps[] = {
    "embed/1",        "rms_norm/1",        "add_rms_norm/1",  "act_quant/1",    "fp8_gemm/1",     "gemm/1",
    "head_gemm/1",    "mla_rope_append/1", "mla_attention/1", "mla_expanded/1", "swiglu_quant/1", "moe_route/1",
    "moe_dispatch/1", "grouped_gemm/1",    "moe_combine/1",   "add/1",          "mtp_merge/1",    "topk/1",
    nullptr,
};
constexpr vks_plugin kPlugin = {
    sizeof(vks_plugin), VKS_ABI_MAJOR, VKS_ABI_MINOR, "null", "1", kOps, &kDevice, enumerate, open, close, extension,
};

const vks_plugin* negotiate(uint32_t major, uint32_t, vks_error* error) noexcept {
    if (major == VKS_ABI_MAJOR) return &kPlugin;
    fail(error, VKS_UNSUPPORTED, "interface version: wanted %u, found %u", VKS_ABI_MAJOR, major);
    return nullptr;
}

}  // namespace

extern "C" VKS_EXPORT const vks_entry vks_plugin_entry = {
    sizeof(vks_entry), VKS_ABI_MAGIC, VKS_ABI_MAJOR, 0, VKS_ABI_MINOR, 0, negotiate,
};
