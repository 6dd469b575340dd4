// What an operator's files in ops/ provide. ops/<op>.cpp holds the meaning in plain C++ and defines op_<op>;
// ops/<op>.simd.cpp the Highway versions. The table of all ops is generated from the file names (CMakeLists.txt).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "backend/abi/plugin.hpp"
#include "plugins/args/args.h"
#include "plugins/cpu/pool.h"

namespace vks::cpu {

using args::Arg;
using args::blocks;
using args::kBlock;

// Bytes of memory that one thread reads in order.
struct Range {
    const std::byte* data = nullptr;
    int64_t bytes = 0;
};
struct Ranges {
    std::array<Range, 32> list;
    size_t count = 0;
};

// A launch: all arguments in the op's order, constants included.
struct Call {
    std::span<const Arg> args;
    const void* params = nullptr;
    std::byte* scratch = nullptr;  // Variant::scratch(...) bytes, 64-byte aligned
    Pool* pool = nullptr;
    std::span<const Ranges> ahead = {};  // of an op that computes: what each thread will read after it, if known

    template <class P>
    const P& get() const {
        return *static_cast<const P*>(params);
    }
};

// What query and prepare see of an op, on a device with this many threads.
struct Signature : args::Signature {
    int threads = 1;
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
    std::string (*check)(const args::Signature&);
    uint32_t outputs;  // so many of the last arguments are written
    // Best first; the last is the plain one. Pointers, because a variant may live in another file: its address is a
    // constant there, its value may not be set yet. Define variants constinit.
    std::span<const Variant* const> variants;
    // With few rows of x: of the weights that a thread of so many reads, about, the piece after so many others; empty:
    // no more, or not worth saying. ahead.h says what for. Null: the op reads none.
    Range (*weights)(const Call&, int64_t thread, int64_t threads, int64_t piece) = nullptr;
    // Which weights those are stands in arguments that other ops write.
    bool by_lists = false;
    // Takes longer to compute than to read: memory has time for what comes next.
    bool computes = false;
};

}  // namespace vks::cpu
