#include "backend/registry/device.h"

#include <cstring>

#include "backend/base/bad_input.h"
#include "backend/registry/left_behind.h"
#include "backend/registry/loader.h"

namespace vks {
namespace {

constexpr uint64_t kMaxScratch = uint64_t{1} << 48;  // more is a lie, and sums with it could overflow

const char* status_name(vks_status status) {
    switch (status) {
        case VKS_OK:
            return "ok";
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

std::string plugin_text(const char* text, size_t capacity) {
    return one_line({text, strnlen(text, capacity)});
}

void make_printable(char* text, size_t capacity) {
    std::string clean = plugin_text(text, capacity);
    if (clean.size() >= capacity) {
        size_t end = capacity - 1;
        while (end > 0 && (static_cast<unsigned char>(clean[end]) & 0xc0) == 0x80) --end;
        clean.resize(end);
    }
    std::memcpy(text, clean.c_str(), clean.size() + 1);
}

std::string status_text(vks_status status, const vks_error& error) {
    const std::string text = plugin_text(error.text, sizeof error.text);
    return text.empty() ? status_name(status) : fmt::format("{}: {}", status_name(status), text);
}

// Every call into the plugin goes through these two: an exception that it lets out becomes a status.
template <class... P, class... A>
Status Device::call(const std::string& what, vks_status (*function)(P...), A... args) {
    vks_error error{};
    const vks_status status = abi::guard(&error, [&] { return function(args..., &error); });
    if (status == VKS_OK) [[likely]]
        return {};
    return check(status, error, what);
}

template <class R, class... P, class... A>
R Device::value(const std::string& what, R (*function)(P...), A... args) {
    vks_error error{};
    if constexpr (std::is_void_v<R>) {
        const vks_status status = abi::guard(&error, [&] {
            function(args...);
            return vks_status{VKS_OK};
        });
        static_cast<void>(check(status, error, what));
    } else {
        R result{};
        const vks_status status = abi::guard(&error, [&] {
            result = function(args...);
            return vks_status{VKS_OK};
        });
        static_cast<void>(check(status, error, what));
        return result;
    }
}

template <class T>
void Device::destroy(const std::string& what, void (*function)(vks_device*, T*), T* raw) {
    hangs_ ? leave_behind(raw) : value(what, function, raw_, raw);
}

template <class T>
void Device::destroy(const std::string& what, void (*function)(T*), T* raw) {
    hangs_ ? leave_behind(raw) : value(what, function, raw);
}

Result<std::unique_ptr<Device>> Device::open(const vks_plugin& plugin, uint32_t index, std::string id,
                                             const vks_host& host, const std::string& options) {
    std::unique_ptr<Device> device(new Device(plugin, std::move(id)));
    const Status opened = device->call("open", plugin.open, &host, index, options.c_str(), &device->raw_);
    if (!opened || !device->raw_) {
        device->raw_ = nullptr;
        if (!opened) return opened.error();
        return Error{Code::kNoBackend, fmt::format("open ({}): success without a device", device->id_)};
    }
    device->info_.size = sizeof(vks_info);
    VKS_TRY(device->call("info", device->api_.info, device->raw_, &device->info_));
    make_printable(device->info_.name, sizeof device->info_.name);
    make_printable(device->info_.detail, sizeof device->info_.detail);
    uint64_t& alignment = device->info_.alignment;
    if (alignment == 0) alignment = 64;
    if ((alignment & (alignment - 1)) != 0 || alignment > 65536)
        return Error{
            Code::kNoBackend,
            fmt::format("info ({}): wanted a power of two up to 65536 as alignment, found {}", device->id_, alignment)};
    device->compile_ =
        static_cast<const vks_compile_api*>(find_extension(plugin, VKS_COMPILE_ID, sizeof(vks_compile_api)));
    device->stats_ = static_cast<const vks_stats_api*>(find_extension(plugin, VKS_STATS_ID, sizeof(vks_stats_api)));
    return device;
}

Device::~Device() {
    if (raw_) destroy("close", plugin_.close, raw_);
}

std::string Device::health_reason() const {
    std::lock_guard lock(mutex_);
    return health_reason_;
}

void Device::mark(Health health, const std::string& reason) {
    std::lock_guard lock(mutex_);
    if (health == Health::kWrong) wrong_ = true;
    if (health <= health_.load()) return;
    health_.store(health);
    health_reason_ = reason;
}

Status Device::check(vks_status status, const vks_error& error, const std::string& what) {
    if (status == VKS_OK) return {};
    std::string text = fmt::format("{} ({}): {}", what, id_, status_text(status, error));
    if (status == VKS_DEVICE_LOST) mark(Health::kLost, text);
    if (status < VKS_OK || status >= VKS_INTERNAL) mark(Health::kUnhealthy, text);  // or a status no version has
    return Error{Code::kNoBackend, std::move(text)};
}

Result<Buffer> Device::buffer(uint64_t bytes, uint32_t kind, void* import, const std::string& what) {
    vks_buffer* raw = nullptr;
    VKS_TRY(call(fmt::format("{} of {} bytes", what, bytes), api_.buffer_create, raw_, bytes, kind, import, &raw));
    if (!raw) return Error{Code::kNoBackend, fmt::format("{} ({}): success without a buffer", what, id_)};
    return Buffer(*this, raw);
}

void* Device::map(const Buffer& buffer) {
    return value("map", api_.buffer_map, raw_, buffer.get());
}

Support Device::query(const vks_op& op) {
    Support answer;
    answer.arg_layout.assign(op.arg_count, VKS_ROW_MAJOR);
    vks_support raw{};
    raw.size = sizeof raw;
    raw.verdict = VKS_UNSUPPORTED;
    raw.arg_layout = answer.arg_layout.data();
    vks_error error{};
    const vks_status status = abi::guard(&error, [&] { return api_.query(raw_, &op, &raw, &error); });
    if (status != VKS_OK) {
        answer.reason = status_text(status, error);
        static_cast<void>(check(status, error, fmt::format("query {}", op.op)));
        return answer;
    }
    if (raw.verdict != VKS_OK) {
        answer.reason = plugin_text(error.text, sizeof error.text);
        if (answer.reason.empty()) answer.reason = status_name(VKS_UNSUPPORTED);
        return answer;
    }
    if (raw.scratch_bytes > kMaxScratch) {
        answer.reason = fmt::format("scratch: wanted at most {} bytes, found {}", kMaxScratch, raw.scratch_bytes);
        return answer;
    }
    for (const uint32_t layout : answer.arg_layout)
        if (layout != VKS_ROW_MAJOR && layout < VKS_LAYOUT_PRIVATE) {
            answer.reason = fmt::format("layout: wanted row-major or a private one, found {}", layout);
            return answer;
        }
    answer.ok = true;
    answer.variant = plugin_text(raw.variant, sizeof raw.variant);
    answer.scratch_bytes = raw.scratch_bytes;
    answer.est_ns = raw.est_ns;
    return answer;
}

uint64_t Device::packed_bytes(const vks_tensor& tensor) {
    return value("packed_bytes", api_.packed_bytes, raw_, &tensor);
}

Result<Kernel> Device::prepare(const vks_op& op, const std::string& what) {
    vks_kernel* raw = nullptr;
    VKS_TRY(call("prepare " + what, api_.prepare, raw_, &op, &raw));
    if (!raw) return Error{Code::kNoBackend, fmt::format("prepare {} ({}): success without a kernel", what, id_)};
    return Kernel(*this, raw);
}

Status Device::finish(const Kernel& kernel, const std::string& what) {
    if (!compile_) return {};
    Status finished = call("prepare " + what, compile_->finish, raw_, kernel.get());
    if (finished) return {};
    const auto first = [&] {
        const std::lock_guard lock(mutex_);
        return unfinished_.insert(finished.error().text).second;
    };
    if (!first()) mark(Health::kUnhealthy, finished.error().text);
    return finished;
}

Result<Stream> Device::stream() {
    vks_stream* raw = nullptr;
    VKS_TRY(call("stream", api_.stream_create, raw_, &raw));
    if (!raw) return Error{Code::kNoBackend, fmt::format("stream ({}): success without a stream", id_)};
    return Stream(*this, raw);
}

Result<Fence> Device::fence() {
    vks_fence* raw = nullptr;
    VKS_TRY(call("fence", api_.fence_create, raw_, &raw));
    if (!raw) return Error{Code::kNoBackend, fmt::format("fence ({}): success without a fence", id_)};
    return Fence(*this, raw);
}

Status Device::copy(const Stream& stream, const vks_tensor& from, const vks_tensor& to) {
    return call("copy", api_.copy, stream.get(), &from, &to);
}

Status Device::launch(const Stream& stream, const Kernel& kernel, std::span<const vks_tensor> args,
                      const vks_tensor* scratch, const std::string& what) {
    return call(what, api_.launch, stream.get(), kernel.get(), args.data(), uint64_t{args.size()}, scratch);
}

Status Device::submit(const Stream& stream, const Fence& fence, uint64_t value) {
    return call("submit", api_.submit, stream.get(), fence.get(), value);
}

std::optional<vks_stats> Device::stats() {
    vks_stats counts{};
    counts.size = sizeof counts;
    if (!stats_ || !call("stats", stats_->read, raw_, &counts)) return std::nullopt;
    return counts;
}

std::string InFlight::text() const {
    if (count == 0) return "await";
    if (count == 1) return "await of " + *first;
    return fmt::format("await of {} operators, {} to {}", count, *first, *last);
}

Status Device::await(const Fence& fence, uint64_t value, const InFlight& work) {
    vks_error error{};
    const uint64_t ns = watchdog_ns_;
    const vks_status status = abi::guard(&error, [&] { return api_.fence_await(fence.get(), value, ns, &error); });
    if (status == VKS_OK) [[likely]]
        return {};
    if (status != VKS_TIMEOUT) return check(status, error, work.text());
    hangs_ = true;
    std::string text =
        fmt::format("{} ({}): no answer in {} s: {}", work.text(), id_, double(ns) / 1e9, status_text(status, error));
    mark(Health::kLost, text);
    return Error{Code::kNoBackend, std::move(text)};
}

void destroy_buffer(Device& d, vks_buffer* raw) {
    d.destroy("buffer_destroy", d.api_.buffer_destroy, raw);
}
void destroy_kernel(Device& d, vks_kernel* raw) {
    d.destroy("kernel_destroy", d.api_.kernel_destroy, raw);
}
void destroy_stream(Device& d, vks_stream* raw) {
    d.destroy("stream_destroy", d.api_.stream_destroy, raw);
}
void destroy_fence(Device& d, vks_fence* raw) {
    d.destroy("fence_destroy", d.api_.fence_destroy, raw);
}

}  // namespace vks
