// Vulkan as this plugin sees it: through volk only, with errors as exceptions that end at the ABI (device.cpp's guard).
#pragma once
#define VK_NO_PROTOTYPES
#include <volk.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "backend/abi/plugin.hpp"

namespace vks::vulkan {

// What a call into the plugin failed with. Thrown and caught within the plugin.
struct Failure : std::runtime_error {
    Failure(vks_status s, const std::string& text, int64_t n = 0) : std::runtime_error(text), status(s), native(n) {}
    vks_status status;
    int64_t native;
};

// "VK_ERROR_DEVICE_LOST"; thread-safe.
const char* result_name(VkResult result);
// Throws unless the result is VK_SUCCESS. `what` is the Vulkan function.
void vk_check(VkResult result, const char* what);

// A Vulkan structure of its type, zero but for that and `next`.
template <class T>
T described(VkStructureType type, const void* next = nullptr) {
    T t{};
    t.sType = type;
    t.pNext = const_cast<std::remove_const_t<std::remove_pointer_t<decltype(t.pNext)>>*>(next);
    return t;
}

// The body of an ABI entry: a throw becomes a status and a line in `error`.
template <class Body>
vks_status guarded(vks_error* error, Body&& body) noexcept {
    try {
        try {
            return body();
        } catch (const Failure& failure) {
            abi::fail(error, failure.status, "%s", failure.what());
            if (error) error->native = failure.native;
            return failure.status;
        }
    } catch (const std::bad_alloc&) {
        return abi::fail(error, VKS_NO_MEMORY, "out of host memory");
    } catch (const std::exception& e) {
        return abi::fail(error, VKS_INTERNAL, "exception: %s", e.what());
    } catch (...) {
        return abi::fail(error, VKS_INTERNAL, "unknown exception");
    }
}

}  // namespace vks::vulkan
