// What an operator's file in ops/ provides. ops/<op>.cpp defines op_<op>; its GPU code is shaders/<op>.comp. Pipelines,
// descriptors and barriers are the plugin's: an operator says which programs it needs and what to dispatch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "plugins/args/args.h"
#include "plugins/vulkan/gpu.h"

namespace vks::vulkan {

using args::Arg;
using args::Signature;

// A shader with its numbers: one pipeline.
struct Program {
    std::string shader;      // file name without ending: "rms_norm", "rms_norm.subgroup"
    uint32_t workgroup = 1;  // invocations; local_size_x_id is constant 0 in every shader
    std::vector<std::pair<std::string, uint32_t>> constants;  // by name
    uint32_t subgroup = 0;  // invocations that its subgroups must have, all of them; 0: as the device likes
};

// How an operator will run on a device with such arguments.
struct Recipe {
    std::string refusal;  // not empty: it won't, and why
    std::string variant;  // as shown: "subgroup", "coopmat"
    std::vector<Program> programs;
    uint64_t scratch_bytes = 0;
};

// Bytes of a buffer bound to a shader. None: an absent argument.
struct Bind {
    VkBuffer buffer = VK_NULL_HANDLE;
    uint64_t offset = 0, bytes = 0;
};

// Operations that take about as long as reading a byte.
inline constexpr uint64_t kOperationsPerByte = 4;

struct Groups {
    uint32_t x = 1, y = 1, z = 1;
};

// Where an operator's dispatches go. Implemented by the stream.
class Encoder {
public:
    virtual const Caps& caps() const = 0;
    // As recipe() saw it: varying dims at their maximum.
    virtual Signature declared() const = 0;
    // An argument, whole or `bytes` of it from `from` on (a multiple of the device's offset alignment).
    virtual Bind arg(size_t index) const = 0;
    virtual Bind scratch(uint64_t from, uint64_t bytes) const = 0;
    // The kernel's table of constants' addresses, when the operator asked for one.
    virtual Bind table() const = 0;

    Bind arg(size_t index, uint64_t from, uint64_t bytes) const {
        Bind whole = arg(index);
        return {whole.buffer, whole.offset + from, bytes};
    }
    // binds: by binding number of the program's shader. Groups beyond the device's limit are the operator's mistake:
    // spread() keeps them within. operations: additions and multiplications, about, or what takes as long; at least
    // what the bytes bound make is assumed (Caps::submission).
    template <class Push>
    void dispatch(size_t program, std::initializer_list<Bind> binds, const Push& push, Groups groups,
                  uint64_t operations = 0) {
        static_assert(std::is_trivially_copyable_v<Push> && sizeof(Push) <= 128);
        std::byte bytes[sizeof(Push)];
        std::memcpy(bytes, &push, sizeof push);
        dispatch_bytes(program, {binds.begin(), binds.size()}, bytes, groups, operations);
    }
    // n groups in x and y, within the device's limit; the shader counts them with group_index()
    // (shaders/lib/group.glsl) and leaves out those past n.
    Groups spread(uint64_t n, uint32_t z = 1) const {
        const uint64_t limit = caps().max_groups, y = (n + limit - 1) / limit;
        return n == 0 ? Groups{0, 0, 0} : Groups{uint32_t((n + y - 1) / y), uint32_t(y), z};
    }

protected:
    ~Encoder() = default;
    virtual void dispatch_bytes(size_t program, std::span<const Bind> binds, std::span<const std::byte> push,
                                Groups groups, uint64_t operations) = 0;
};

struct Op {
    const char* id = nullptr;  // "rms_norm/1"
    uint64_t params_size = 0;  // 0: no params
    // Empty when these arguments are ones ops.h allows, else one line saying which is not.
    std::string (*check)(const Signature&) = nullptr;
    uint32_t outputs = 0;  // so many of the last arguments are written
    // Varying dims are at their maximum.
    Recipe (*recipe)(const Caps&, const Signature&) = nullptr;
    // Arguments at their actual dims. Every written binding of a dispatch is ordered against the others by the encoder.
    void (*encode)(Encoder&, const Signature&) = nullptr;
    // Constants whose addresses the shader reads from a table (pairs of words, in this order): indices [first, last) of
    // the arguments; null: none. Only on devices with addresses.
    std::pair<size_t, size_t> (*table)(const Signature&) = nullptr;
};

// All operators, by name: op_list.cpp, generated from the names of ops/*.cpp.
std::span<const Op* const> op_list();

// A compiled shader of the build; throws Failure if there is none of this name.
std::span<const uint32_t> find_shader(const std::string& name);
bool has_shader(const std::string& name);

}  // namespace vks::vulkan
