// Tensors as the plugins of this tree see them: what the ABI hands over, checked once, so that operators can trust it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/abi/plugin.hpp"

namespace vks::args {

// Elements and matrix blocks that share a scale, along either axis.
inline constexpr int64_t kBlock = 128;
constexpr int64_t blocks(int64_t n) {
    return n / kBlock + (n % kBlock != 0);
}

// One argument of a running op: contiguous, row-major. dtype NONE: absent.
struct Arg {
    uint32_t dtype = VKS_NONE;
    uint32_t rank = 0;
    int64_t dim[4] = {};
    void* data = nullptr;  // on the host, if there at all; inputs and constants are not written through it

    explicit operator bool() const { return dtype != VKS_NONE; }
    int64_t rows() const { return dim[0]; }
    // Product of the dims after the first.
    int64_t row_elements() const {
        int64_t n = 1;
        for (uint32_t i = 1; i < rank; ++i) n *= dim[i];
        return n;
    }
    template <class T>
    const T* as() const {
        return static_cast<const T*>(data);
    }
    template <class T>
    T* out() const {
        return static_cast<T*>(data);
    }
};

// What query and prepare see: extents are maxima (never negative), data pointers of constants are valid in prepare
// only.
struct Signature {
    std::span<const Arg> args;
    const void* params = nullptr;
    uint64_t params_size = 0;

    template <class P>
    const P& get() const {
        return *static_cast<const P*>(params);
    }
};

// Is this a description that a plugin can understand? If not, `text` gets the reason.
bool understood(const vks_tensor& t, std::string& text);

// Without data; varying dims at their maximum.
Arg at_maximum(const vks_tensor& t);

// What query and prepare are asked, for an operator with params of that size that writes the last `outputs` of its
// arguments: fills `arguments`. Else the reason; the operator's own check comes after it.
std::string read_question(const vks_op& op, uint64_t params_size, uint32_t outputs, std::vector<Arg>& arguments);

// Is it one of the arguments that are written?
constexpr bool written(size_t index, size_t arguments, uint32_t outputs) {
    return index + outputs >= arguments;
}
// What is wrong with writing to memory of this kind (VKS_BUFFER_...); null: nothing.
const char* unwritable(uint32_t kind);

// An argument given to a launch must be what prepare was told, at most as large where a dim was "at most". Null, or
// what the given one is instead.
const char* mismatch(const vks_tensor& declared, const vks_tensor& given);

// The bytes a row-major tensor's elements reach from its offset on, at maximum extents; sets ok to false if the
// description is not a sound one (rank, dims, strides, overflow).
uint64_t reach(const vks_tensor& tensor, bool& ok);

}  // namespace vks::args
