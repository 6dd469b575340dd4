// The plugin table behind a Fake.
#include "tests/support/fake_device.h"

#include <algorithm>
#include <cstring>

using vks::abi::fail;

struct vks_device {
    vks::test::Fake* fake;
};
struct vks_buffer {
    std::vector<std::byte> storage;
    std::byte* data = nullptr;
    uint32_t kind = 0;
};
struct vks_kernel {
    std::string op;
};
struct vks_stream {
    vks::test::Fake* fake;
};
struct vks_fence {
    vks::test::Fake* fake;
    uint64_t value = 0;
};

namespace vks::test {
namespace {

Fake* opening = nullptr;

vks_status info(vks_device* device, vks_info* out, vks_error*) {
    const Fake& fake = *device->fake;
    std::snprintf(out->name, sizeof out->name, "%s", fake.id.c_str());
    out->bytes_total = out->max_binding = uint64_t{1} << 40;
    out->bytes_free = fake.bytes_free;
    out->max_buffer = fake.max_buffer;
    out->memory_bytes_per_s = fake.memory_bytes_per_s;
    out->link_bytes_per_s = fake.link_bytes_per_s;
    out->alignment = fake.alignment;
    out->flags = fake.flags;
    return VKS_OK;
}

vks_status buffer_create(vks_device* device, uint64_t bytes, uint32_t kind, void* import, vks_buffer** out,
                         vks_error* error) {
    static const char* const kinds[] = {"device", "host", "import"};
    Fake& fake = *device->fake;
    if (kind == VKS_BUFFER_IMPORT && !fake.imports) return fail(error, VKS_UNSUPPORTED, "no import");
    if (kind == VKS_BUFFER_DEVICE && fake.room && !fake.room(bytes)) return fail(error, VKS_NO_MEMORY, "full");
    fake.log.push_back(fmt::format("buffer {} {}", bytes, kinds[kind]));
    *out = new vks_buffer;
    (*out)->kind = kind;
    if (kind != VKS_BUFFER_IMPORT) (*out)->storage.resize(bytes);
    if (kind == VKS_BUFFER_DEVICE) fake.held += bytes;
    (*out)->data = kind == VKS_BUFFER_IMPORT ? static_cast<std::byte*>(import) : (*out)->storage.data();
    ++fake.alive;
    return VKS_OK;
}
void buffer_destroy(vks_device* device, vks_buffer* buffer) {
    if (buffer->kind == VKS_BUFFER_DEVICE) device->fake->held -= buffer->storage.size();
    delete buffer;
    --device->fake->alive;
}
void* buffer_map(vks_device* device, vks_buffer* buffer) {
    return buffer->kind == VKS_BUFFER_HOST || device->fake->mappable ? buffer->data : nullptr;
}

vks_status query(vks_device* device, const vks_op* op, vks_support* out, vks_error* error) {
    Support answer;
    answer.ok = true;
    answer.variant = "fake";
    answer.arg_layout.assign(op->arg_count, VKS_ROW_MAJOR);
    if (device->fake->query) device->fake->query(*op, answer);
    out->verdict = answer.ok ? VKS_OK : VKS_UNSUPPORTED;
    out->scratch_bytes = answer.scratch_bytes;
    out->est_ns = answer.est_ns;
    std::snprintf(out->variant, sizeof out->variant, "%s", answer.variant.c_str());
    std::copy(answer.arg_layout.begin(), answer.arg_layout.end(), out->arg_layout);
    if (!answer.ok) fail(error, VKS_UNSUPPORTED, "%s", answer.reason.c_str());
    return VKS_OK;
}
uint64_t packed_bytes(vks_device*, const vks_tensor* tensor) {
    return 2 * static_cast<uint64_t>(abi::element_count(*tensor) * abi::element_bytes(tensor->dtype));
}
vks_status prepare(vks_device* device, const vks_op* op, vks_kernel** out, vks_error* error) {
    std::string reason;
    const vks_status status = device->fake->prepare ? device->fake->prepare(*op, reason) : vks_status{VKS_OK};
    if (status != VKS_OK) return fail(error, status, "%s", reason.c_str());
    device->fake->log.push_back(std::string("prepare ") + op->op);
    *out = new vks_kernel{op->op};
    ++device->fake->alive;
    return VKS_OK;
}
void kernel_destroy(vks_device* device, vks_kernel* kernel) {
    delete kernel;
    --device->fake->alive;
}

vks_status finish(vks_device* device, vks_kernel*, vks_error* error) {
    std::string reason;
    const vks_status status = device->fake->finish ? device->fake->finish(reason) : vks_status{VKS_OK};
    return status == VKS_OK ? status : fail(error, status, "%s", reason.c_str());
}

vks_status stream_create(vks_device* device, vks_stream** out, vks_error*) {
    *out = new vks_stream{device->fake};
    ++device->fake->alive;
    return VKS_OK;
}
void stream_destroy(vks_stream* stream) {
    --stream->fake->alive;
    delete stream;
}
vks_status copy(vks_stream* stream, const vks_tensor* from, const vks_tensor* to, vks_error*) {
    const auto bytes = static_cast<size_t>(abi::element_count(*from) * abi::element_bytes(from->dtype));
    stream->fake->log.push_back(fmt::format("copy {} -> {}", bytes, to->layout));
    std::memcpy(to->buffer->data + to->offset, from->buffer->data + from->offset, bytes);
    return VKS_OK;
}
vks_status launch(vks_stream* stream, vks_kernel* kernel, const vks_tensor*, uint64_t, const vks_tensor*,
                  vks_error* error) {
    std::string reason;
    const vks_status status = stream->fake->launch ? stream->fake->launch(reason) : vks_status{VKS_OK};
    if (status != VKS_OK) return fail(error, status, "%s", reason.c_str());
    stream->fake->log.push_back("launch " + kernel->op);
    return VKS_OK;
}
vks_status wait(vks_stream*, vks_fence*, uint64_t, vks_error*) {
    return VKS_OK;
}
vks_status submit(vks_stream* stream, vks_fence* fence, uint64_t value, vks_error*) {
    stream->fake->log.push_back("submit");
    fence->value = value;
    return VKS_OK;
}
vks_status fence_create(vks_device* device, vks_fence** out, vks_error*) {
    *out = new vks_fence{device->fake};
    ++device->fake->alive;
    return VKS_OK;
}
vks_status fence_await(vks_fence* fence, uint64_t value, uint64_t, vks_error* error) {
    if (fence->fake->await != VKS_OK) return fail(error, fence->fake->await, "told to fail");
    return fence->value >= value ? vks_status{VKS_OK} : fail(error, VKS_TIMEOUT, "never");
}
void fence_destroy(vks_fence* fence) {
    --fence->fake->alive;
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

vks_status enumerate(uint32_t, vks_info*, vks_error* error) {
    return fail(error, VKS_UNSUPPORTED, "made by hand");
}
vks_status open_fake(const vks_host*, uint32_t, const char*, vks_device** out, vks_error*) {
    *out = new vks_device{opening};
    return VKS_OK;
}
void close_fake(vks_device* device) {
    delete device;
}
const void* extension(const char* id) {
    static const vks_compile_api compile = {sizeof(vks_compile_api), finish};
    return std::strcmp(id, VKS_COMPILE_ID) == 0 ? &compile : nullptr;
}

constexpr const char* kOps[] = {nullptr};
constexpr vks_plugin kPlugin = {
    sizeof(vks_plugin), VKS_ABI_MAJOR, VKS_ABI_MINOR, "fake",     "1",       kOps,
    &kDevice,           enumerate,     open_fake,     close_fake, extension,
};

}  // namespace

std::unique_ptr<Device> open(Fake& fake) {
    static const vks_host host{sizeof(vks_host), nullptr, nullptr, nullptr};
    opening = &fake;
    auto device = Device::open(kPlugin, 0, fake.id, host, "");
    CHECK(device, "{}", device.error().text);
    return std::move(*device);
}

}  // namespace vks::test
