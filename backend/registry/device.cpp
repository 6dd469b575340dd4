#include "backend/registry/device.h"

#include <cstring>

namespace vks {
namespace {

// The text of a plugin, which may have forgotten the terminator.
std::string bounded(const char* text, size_t capacity) {
    return {text, strnlen(text, capacity)};
}

const char* status_name(vks_status status) {
    switch (status) {
        case VKS_UNSUPPORTED:
            return "unsupported";
        case VKS_INVALID:
            return "invalid call";
        case VKS_NO_MEMORY:
            return "out of memory";
        case VKS_TIMEOUT:
            return "timeout";
        case VKS_DEVICE_LOST:
            return "device lost";
        case VKS_INTERNAL:
            return "internal error";
        default:
            return "unknown status";
    }
}

}  // namespace

Result<std::unique_ptr<Device>> Device::open(const vks_plugin& plugin, uint32_t index, std::string id,
                                             const vks_host& host, const std::string& options) {
    std::unique_ptr<Device> device(new Device(plugin, std::move(id)));
    vks_error error{};
    vks_status status = plugin.open(&host, index, options.c_str(), &device->raw_, &error);
    if (status != VKS_OK || !device->raw_) {
        device->raw_ = nullptr;
        return Error{Code::kNoBackend, fmt::format("open ({}): {}: {}", device->id_, status_name(status),
                                                   bounded(error.text, sizeof error.text))};
    }
    device->info_.size = sizeof(vks_info);
    VKS_TRY(device->check(device->api_.info(device->raw_, &device->info_, &error), error, "info"));
    device->info_.name[sizeof device->info_.name - 1] = 0;
    device->info_.detail[sizeof device->info_.detail - 1] = 0;
    uint64_t& alignment = device->info_.alignment;
    if (alignment == 0) alignment = 64;
    if ((alignment & (alignment - 1)) != 0 || alignment > 65536)
        return Error{
            Code::kNoBackend,
            fmt::format("info ({}): wanted a power of two up to 65536 as alignment, found {}", device->id_, alignment)};
    return device;
}

Device::~Device() {
    if (raw_) plugin_.close(raw_);
}

std::string Device::health_reason() const {
    std::lock_guard lock(mutex_);
    return health_reason_;
}

void Device::mark(Health health, const std::string& reason) {
    std::lock_guard lock(mutex_);
    if (health <= health_.load()) return;
    health_.store(health);
    health_reason_ = reason;
}

Status Device::check(vks_status status, const vks_error& error, const std::string& what) {
    if (status == VKS_OK) return {};
    std::string text =
        fmt::format("{} ({}): {}: {}", what, id_, status_name(status), bounded(error.text, sizeof error.text));
    if (status == VKS_DEVICE_LOST) mark(Health::kLost, text);
    if (status == VKS_INTERNAL) mark(Health::kUnhealthy, text);
    return Error{Code::kNoBackend, std::move(text)};
}

Result<Buffer> Device::buffer(uint64_t bytes, uint32_t kind, void* import, const std::string& what) {
    vks_error error{};
    vks_buffer* raw = nullptr;
    VKS_TRY(check(api_.buffer_create(raw_, bytes, kind, import, &raw, &error), error,
                  fmt::format("{} of {} bytes", what, bytes)));
    if (!raw) return Error{Code::kNoBackend, fmt::format("{} ({}): success without a buffer", what, id_)};
    return Buffer(*this, raw);
}

void* Device::map(const Buffer& buffer) const {
    return api_.buffer_map(raw_, buffer.get());
}

Support Device::query(const vks_op& op) {
    Support answer;
    answer.arg_layout.assign(op.arg_count, VKS_ROW_MAJOR);
    vks_support raw{};
    raw.size = sizeof raw;
    raw.verdict = VKS_UNSUPPORTED;
    raw.arg_layout = answer.arg_layout.data();
    vks_error error{};
    vks_status status = api_.query(raw_, &op, &raw, &error);
    if (status != VKS_OK || raw.verdict != VKS_OK) {
        answer.reason = bounded(error.text, sizeof error.text);
        if (answer.reason.empty()) answer.reason = status_name(status != VKS_OK ? status : VKS_UNSUPPORTED);
        return answer;
    }
    answer.ok = true;
    answer.variant = bounded(raw.variant, sizeof raw.variant);
    answer.scratch_bytes = raw.scratch_bytes;
    answer.est_ns = raw.est_ns;
    return answer;
}

uint64_t Device::packed_bytes(const vks_tensor& tensor) const {
    return api_.packed_bytes(raw_, &tensor);
}

Result<Kernel> Device::prepare(const vks_op& op, const std::string& what) {
    vks_error error{};
    vks_kernel* raw = nullptr;
    VKS_TRY(check(api_.prepare(raw_, &op, &raw, &error), error, "prepare " + what));
    if (!raw) return Error{Code::kNoBackend, fmt::format("prepare {} ({}): success without a kernel", what, id_)};
    return Kernel(*this, raw);
}

Result<Stream> Device::stream() {
    vks_error error{};
    vks_stream* raw = nullptr;
    VKS_TRY(check(api_.stream_create(raw_, &raw, &error), error, "stream"));
    return Stream(*this, raw);
}

Result<Fence> Device::fence() {
    vks_error error{};
    vks_fence* raw = nullptr;
    VKS_TRY(check(api_.fence_create(raw_, &raw, &error), error, "fence"));
    return Fence(*this, raw);
}

Status Device::copy(const Stream& stream, const vks_tensor& from, const vks_tensor& to) {
    vks_error error{};
    return check(api_.copy(stream.get(), &from, &to, &error), error, "copy");
}

Status Device::launch(const Stream& stream, const Kernel& kernel, std::span<const vks_tensor> args,
                      const vks_tensor* scratch, const std::string& what) {
    vks_error error{};
    vks_status status = api_.launch(stream.get(), kernel.get(), args.data(), args.size(), scratch, &error);
    if (status == VKS_OK) [[likely]]
        return {};
    return check(status, error, what);
}

Status Device::submit(const Stream& stream, const Fence& fence, uint64_t value) {
    vks_error error{};
    return check(api_.submit(stream.get(), fence.get(), value, &error), error, "submit");
}

Status Device::await(const Fence& fence, uint64_t value, uint64_t ns) {
    vks_error error{};
    return check(api_.fence_await(fence.get(), value, ns, &error), error, "await");
}

void destroy_buffer(Device& d, vks_buffer* raw) {
    d.api_.buffer_destroy(d.raw_, raw);
}
void destroy_kernel(Device& d, vks_kernel* raw) {
    d.api_.kernel_destroy(d.raw_, raw);
}
void destroy_stream(Device& d, vks_stream* raw) {
    d.api_.stream_destroy(raw);
}
void destroy_fence(Device& d, vks_fence* raw) {
    d.api_.fence_destroy(raw);
}

}  // namespace vks
