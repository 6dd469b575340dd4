#include "plugins/vulkan/fp8_check.h"

#include <cmath>

#include "plugins/vulkan/stream.h"

namespace vks::vulkan {
namespace {

constexpr int64_t kCodes = 256;
constexpr uint64_t kPatience = 5'000'000'000;  // ns

// The shader as if it were an operator, known to nobody else: streams do the rest.
std::string check(const Signature&) {
    return {};
}

void encode(Encoder& e, const Signature&) {
    e.dispatch(0, {e.arg(0)}, uint32_t{0}, {1, 1, 1});
}

constexpr Op kOp = {"fp8_codes", 0, check, nullptr, encode};

float value_of(uint32_t code) {
    const uint32_t exponent = code >> 3 & 15, mantissa = code & 7;
    if (exponent == 15 && mantissa == 7) return NAN;
    const float magnitude =
        exponent == 0 ? std::ldexp(float(mantissa), -9) : std::ldexp(float(8 + mantissa), int(exponent) - 10);
    return code & 0x80 ? -magnitude : magnitude;
}

bool same(float a, float b) {
    return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

}  // namespace

bool decodes_fp8_by_half(vks_device& device) {
    vks_buffer buffer;
    buffer.device = &device;
    buffer.bytes = kCodes * sizeof(float);
    buffer.id = device.next_id();
    buffer.range = device.heap->allocate(buffer.bytes, Memory::kHost);
    const vks_tensor values{VKS_F32, VKS_ROW_MAJOR, 1, 0, {kCodes}, {1}, &buffer, 0};
    vks_kernel kernel;
    kernel.device = &device;
    kernel.id = device.next_id();
    kernel.op = &kOp;
    kernel.recipe.programs = {{"fp8_codes", 64, {{"HALF", 1}}}};
    kernel.pipelines = {&device.pipelines->get(kernel.recipe.programs[0])};
    kernel.args = {args::at_maximum(values)};
    kernel.declared = {values};
    kernel.given = {0};
    bool right = false;
    {
        vks_stream stream(device);
        vks_fence* fence = nullptr;
        if (kDeviceApi.fence_create(&device, &fence, nullptr) == VKS_OK) {
            stream.launch(kernel, &values, 1, nullptr);
            right = kDeviceApi.submit(&stream, fence, 1, nullptr) == VKS_OK &&
                    kDeviceApi.fence_await(fence, 1, kPatience, nullptr) == VKS_OK;
        }
        kDeviceApi.fence_destroy(fence);
    }
    const auto* found = reinterpret_cast<const float*>(buffer.range.mapped);
    for (int64_t code = 0; right && code < kCodes; ++code) right = same(found[code], value_of(uint32_t(code)));
    device.heap->release(buffer.range);
    return right;
}

}  // namespace vks::vulkan
