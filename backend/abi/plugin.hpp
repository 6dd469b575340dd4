// C++ help for plugin authors, header only: errors, the exception guard, size arithmetic on tensors. Needs only
// plugin.h.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>

#include "ops.h"

namespace vks::abi {

// Writes a printf-formatted line into `error` (may be null) and returns `status`.
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
inline vks_status
fail(vks_error* error, vks_status status, const char* format, ...) {
    if (error) {
        va_list list;
        va_start(list, format);
        std::vsnprintf(error->text, sizeof error->text, format, list);
        va_end(list);
        error->native = 0;
    }
    return status;
}

// Runs an entry point's body; a throw becomes NO_MEMORY or INTERNAL, so that none crosses the boundary.
template <class Body>
vks_status guard(vks_error* error, Body&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return fail(error, VKS_NO_MEMORY, "out of host memory");
    } catch (const std::exception& e) {
        return fail(error, VKS_INTERNAL, "exception: %s", e.what());
    } catch (...) {
        return fail(error, VKS_INTERNAL, "unknown exception");
    }
}

// Bytes of one element; 0 for an unknown dtype.
inline int64_t element_bytes(uint32_t dtype) {
    switch (dtype) {
        case VKS_F32:
        case VKS_I32:
            return 4;
        case VKS_BF16:
        case VKS_F16:
            return 2;
        case VKS_F8_E4M3:
        case VKS_U8:
            return 1;
        case VKS_I64:
            return 8;
        default:
            return 0;
    }
}

inline const char* dtype_name(uint32_t dtype) {
    switch (dtype) {
        case VKS_NONE:
            return "none";
        case VKS_F32:
            return "f32";
        case VKS_BF16:
            return "bf16";
        case VKS_F16:
            return "f16";
        case VKS_F8_E4M3:
            return "f8_e4m3";
        case VKS_I32:
            return "i32";
        case VKS_I64:
            return "i64";
        case VKS_U8:
            return "u8";
        default:
            return "unknown";
    }
}

// |dim|: the count itself, or the maximum of a varying one.
inline int64_t extent(const vks_tensor& t, uint32_t axis) {
    return t.dim[axis] < 0 ? -t.dim[axis] : t.dim[axis];
}

// Elements at maximum extents; 1 for rank 0. The caller has checked that it fits.
inline int64_t element_count(const vks_tensor& t) {
    int64_t n = 1;
    for (uint32_t i = 0; i < t.rank; ++i) n *= extent(t, i);
    return n;
}

// Row-major and contiguous at maximum extents.
inline bool contiguous(const vks_tensor& t) {
    if (t.layout != VKS_ROW_MAJOR) return false;
    int64_t stride = 1;
    for (uint32_t i = t.rank; i-- > 0;) {
        if (t.stride[i] != stride) return false;
        stride *= extent(t, i);
    }
    return true;
}

// A contiguous row-major tensor without a buffer. dims: up to four.
inline vks_tensor tensor(uint32_t dtype, std::initializer_list<int64_t> dims) {
    vks_tensor t;
    std::memset(&t, 0, sizeof t);
    t.dtype = dtype;
    for (int64_t d : dims) t.dim[t.rank++] = d;
    int64_t stride = 1;
    for (uint32_t i = t.rank; i-- > 0;) {
        t.stride[i] = stride;
        stride *= extent(t, i);
    }
    return t;
}

}  // namespace vks::abi
