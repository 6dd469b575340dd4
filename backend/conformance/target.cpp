#include "backend/conformance/target.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/registry/device.h"

namespace vks::conformance {
namespace {

const vks_host* host() {
    static const vks_host kHost = {sizeof(vks_host), nullptr, [](void*, int, const char*) {},
                                   [](void*, const char*) -> const void* { return nullptr; }};
    return &kHost;
}

}  // namespace

std::string describe(vks_status status, const vks_error& error) {
    return status_text(status, error);
}

vks_tensor tensor_at(uint32_t dtype, const std::vector<int64_t>& dims, vks_buffer* buffer, uint64_t offset) {
    vks_tensor t{};
    t.dtype = dtype;
    t.rank = static_cast<uint32_t>(dims.size());
    int64_t stride = 1;
    for (size_t i = dims.size(); i-- > 0;) {
        t.dim[i] = dims[i];
        t.stride[i] = stride;
        stride *= dims[i];
    }
    t.buffer = buffer;
    t.offset = offset;
    return t;
}

vks_tensor bytes_at(uint64_t bytes, vks_buffer* buffer, uint64_t offset) {
    return tensor_at(VKS_U8, {static_cast<int64_t>(bytes)}, buffer, offset);
}

Target::Target(const vks_plugin& p, uint32_t index, const std::string& options) : plugin(p), api(*p.device) {
    if (!note(plugin.open(host(), index, options.c_str(), &device, &error))) {
        device = nullptr;
        return;
    }
    info.size = sizeof info;
    const bool ready = note(api.info(device, &info, &error)) && note(api.stream_create(device, &stream, &error)) &&
                       note(api.fence_create(device, &fence, &error));
    if (ready) return;
    if (stream) api.stream_destroy(stream);
    plugin.close(device);
    device = nullptr;
}

Target::~Target() {
    if (!device) return;
    api.stream_destroy(stream);
    api.fence_destroy(fence);
    for (vks_buffer* buffer : buffers_) api.buffer_destroy(device, buffer);
    plugin.close(device);
}

bool Target::note(vks_status s) {
    status = s;
    return s == VKS_OK;
}

vks_buffer* Target::buffer(uint64_t bytes, uint32_t kind, void* import) {
    vks_buffer* made = nullptr;
    error = {};
    if (!note(api.buffer_create(device, bytes, kind, import, &made, &error)) || !made) return nullptr;
    buffers_.push_back(made);
    return made;
}

void Target::destroy(vks_buffer* buffer) {
    std::erase(buffers_, buffer);
    api.buffer_destroy(device, buffer);
}

bool Target::finish() {
    error = {};
    return note(api.submit(stream, fence, ++submitted, &error)) &&
           note(api.fence_await(fence, submitted, kPatience, &error));
}

bool Target::write(vks_buffer* to, uint64_t offset, const void* from, uint64_t bytes) {
    if (bytes == 0) return true;
    vks_buffer* staging = buffer(bytes, VKS_BUFFER_HOST);
    if (!staging) return false;
    void* mapped = api.buffer_map(device, staging);
    bool ok = mapped != nullptr;
    if (ok) {
        std::memcpy(mapped, from, bytes);
        const vks_tensor source = bytes_at(bytes, staging, 0), target = bytes_at(bytes, to, offset);
        ok = note(api.copy(stream, &source, &target, &error));
        ok = finish() && ok;
    }
    destroy(staging);
    return ok;
}

bool Target::read(vks_buffer* from, uint64_t offset, void* to, uint64_t bytes) {
    if (bytes == 0) return true;
    vks_buffer* staging = buffer(bytes, VKS_BUFFER_HOST);
    if (!staging) return false;
    void* mapped = api.buffer_map(device, staging);
    bool ok = mapped != nullptr;
    if (ok) {
        const vks_tensor source = bytes_at(bytes, from, offset), target = bytes_at(bytes, staging, 0);
        ok = note(api.copy(stream, &source, &target, &error));
        ok = finish() && ok;
        std::memcpy(to, mapped, bytes);
    }
    destroy(staging);
    return ok;
}

}  // namespace vks::conformance
