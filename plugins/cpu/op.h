// What an operator's files in ops/ provide. ops/<op>.cpp holds the meaning in plain C++ and defines op_<op>;
// ops/<op>.simd.cpp the Highway versions. The table of all ops is generated from the file names (CMakeLists.txt).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "backend/abi/plugin.hpp"
#include "plugins/cpu/pool.h"

namespace vks::cpu {

// One argument of a running op: contiguous, row-major. dtype NONE: absent.
struct Arg {
    uint32_t dtype = VKS_NONE;
    uint32_t rank = 0;
    int64_t dim[4] = {};
    void* data = nullptr;  // inputs and constants are not written through it

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

// A launch: all arguments in the op's order, constants included.
struct Call {
    std::span<const Arg> args;
    const void* params = nullptr;
    std::byte* scratch = nullptr;  // Variant::scratch(...) bytes, 64-byte aligned
    Pool* pool = nullptr;

    template <class P>
    const P& get() const {
        return *static_cast<const P*>(params);
    }
};

// What query and prepare see: extents are maxima (never negative), data pointers of constants are valid in prepare
// only.
struct Signature {
    std::span<const Arg> args;
    const void* params = nullptr;
    uint64_t params_size = 0;
    int threads = 1;

    template <class P>
    const P& get() const {
        return *static_cast<const P*>(params);
    }
};

// One implementation of an op. `run` is thread-safe for distinct outputs and scratch.
struct Variant {
    const char* name;                       // "plain"; or null: dynamic_name() gives it
    const char* (*dynamic_name)();          // the SIMD target chosen at run time, "avx512"
    bool (*usable)(const Signature&);       // null: always
    uint64_t (*scratch)(const Signature&);  // null: none
    void (*run)(const Call&);
};

struct Op {
    const char* id;        // "rms_norm/1"
    uint64_t params_size;  // 0: no params
    // Empty when these arguments are ones ops.h allows, else one line saying which is not: wanted, found.
    std::string (*check)(const Signature&);
    // Best first; the last is the plain one. Pointers, because a variant may live in another file: its address is a
    // constant there, its value may not be set yet. Define variants constinit.
    std::span<const Variant* const> variants;
};

}  // namespace vks::cpu
