// The harm itself.
#include <stdexcept>
#include <utility>

#include "plugins/fault/device.h"

namespace vks::fault {
namespace {

using abi::fail;

// The sign bit of an element of a float type, in its last byte; 0 for other types.
size_t float_bytes(uint32_t dtype) {
    switch (dtype) {
        case VKS_F32:
        case VKS_BF16:
        case VKS_F16:
        case VKS_F8_E4M3:
            return static_cast<size_t>(abi::element_bytes(dtype));
        default:
            return 0;
    }
}

// All bits set are a NaN in every float type; a sign turned is a number that no tolerance covers. Of integers, which
// others use as indices, the first two change places.
void change(Harm harm, uint32_t dtype, unsigned char* data, uint64_t bytes) {
    const size_t width = float_bytes(dtype);
    if (width == 0) {
        const auto element = static_cast<size_t>(abi::element_bytes(dtype));
        for (size_t i = 0; i < element && bytes >= 2 * element; ++i) std::swap(data[i], data[element + i]);
    } else if (harm == Harm::kNan) {
        std::memset(data, 0xff, bytes);
    } else {
        for (uint64_t i = width - 1; i < bytes; i += width) data[i] ^= 0x80;
    }
}

// Memory, a fence, and what is done with them, on the wrapped device.
class Rewrite {
public:
    Rewrite(vks_stream& stream, vks_error* error) : d_(*stream.device), stream_(stream.inner), error_(error) {}
    ~Rewrite() {
        if (buffer_) d_.api->buffer_destroy(d_.inner, buffer_);
        if (fence_) d_.api->fence_destroy(fence_);
    }
    Rewrite(const Rewrite&) = delete;
    Rewrite& operator=(const Rewrite&) = delete;

    vks_status operator()(const vks_tensor& target) {
        const auto bytes = static_cast<uint64_t>(abi::element_count(target) * abi::element_bytes(target.dtype));
        if (bytes == 0) return VKS_OK;
        vks_status status = d_.api->buffer_create(d_.inner, bytes, VKS_BUFFER_HOST, nullptr, &buffer_, error_);
        if (status == VKS_OK) status = d_.api->fence_create(d_.inner, &fence_, error_);
        vks_tensor host = target;
        host.buffer = buffer_;
        host.offset = 0;
        if (status == VKS_OK) status = copy(target, host);
        if (status != VKS_OK) return status;
        auto* data = static_cast<unsigned char*>(d_.api->buffer_map(d_.inner, buffer_));
        if (!data) return fail(error_, VKS_INTERNAL, "fault: wanted a host address, found none");
        change(d_.counter.fault().harm, target.dtype, data, bytes);
        return copy(host, target);
    }

private:
    vks_status copy(const vks_tensor& from, const vks_tensor& to) {
        constexpr uint64_t kForever = 60'000'000'000;
        vks_status status = d_.api->copy(stream_, &from, &to, error_);
        if (status == VKS_OK) status = d_.api->submit(stream_, fence_, ++value_, error_);
        return status == VKS_OK ? d_.api->fence_await(fence_, value_, kForever, error_) : status;
    }

    vks_device& d_;
    vks_stream* stream_;
    vks_error* error_;
    vks_buffer* buffer_ = nullptr;
    vks_fence* fence_ = nullptr;
    uint64_t value_ = 0;
};

}  // namespace

vks_status strike(vks_device& device, const char* what, vks_error* error) {
    switch (device.counter.fault().harm) {
        case Harm::kDeviceLost:
            device.lost = true;
            return fail(error, VKS_DEVICE_LOST, "told to be lost in %s", what);
        case Harm::kNoMemory:
            return fail(error, VKS_NO_MEMORY, "told to have no memory in %s", what);
        case Harm::kInternal:
            return fail(error, VKS_INTERNAL, "told to fail in %s", what);
        case Harm::kThrow:
            throw std::runtime_error("told to throw in " + std::string(what));
        default:
            return VKS_OK;
    }
}

vks_status spoil(vks_stream& stream, const vks_tensor* args, uint64_t count, vks_error* error) {
    const auto from_last = static_cast<uint64_t>(stream.device->counter.fault().arg);
    if (from_last >= count) return VKS_OK;
    return Rewrite(stream, error)(args[count - 1 - from_last]);
}

}  // namespace vks::fault
