// The loops of vks.probe/1: as many loads or multiplications as a core can do.
#pragma once
#include <cstddef>
#include <cstdint>

namespace vks::cpu::simd {

// Reads all of them and gives something that depends on each.
float read_all(const float* x, size_t count);

struct Multiplier {
    double operations = 0;                   // of a round
    float (*run)(int64_t rounds) = nullptr;  // null: this CPU or compiler lacks the instruction
};
// Of a vks_probe.kind.
Multiplier multiplier(uint64_t kind);

// What x86 has for bf16 and 8-bit integers.
Multiplier x86_multiplier(uint64_t kind);

}  // namespace vks::cpu::simd
