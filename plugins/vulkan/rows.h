// For operators that work on rows, one workgroup each.
#pragma once
#include <algorithm>

#include "plugins/vulkan/op.h"

namespace vks::vulkan {

// Invocations for a row: one subgroup on a device run by the CPU, where barriers and idle lanes cost, else up to 256
// and no wider than a row.
uint32_t row_workgroup(const Caps& caps, int64_t columns);
// The same as if no CPU ran the device.
uint32_t wide_workgroup(const Caps& caps, int64_t columns);

// A program of `shader` in its best variant for the device, "subgroup" where there is one, with such a workgroup.
Program row_program(const Caps& caps, const std::string& shader, int64_t columns,
                    std::vector<std::pair<std::string, uint32_t>> constants);

// A recipe of this one program.
Recipe row_recipe(Program program);

uint64_t row_bytes(const Arg& a);

// Rows [first, first + count) of a launch.
struct RowRange {
    const Encoder& encoder;
    const Signature& signature;
    uint64_t first, count;

    uint32_t rows() const { return uint32_t(count); }
    // These rows of an argument.
    Bind operator[](size_t index) const {
        const Arg& a = signature.args[index];
        return a ? encoder.arg(index, first * row_bytes(a), count * row_bytes(a)) : encoder.arg(index);
    }
};

// How many rows of all these arguments can be bound at once: all there are, or a number that keeps every part's offset
// aligned; 0 if there is none. Absent arguments don't count.
uint64_t rows_at_once(const Caps& caps, const Signature& s, std::span<const size_t> args);

// The recipe of an operator that is encoded by for_rows: refused if not even the fewest rows fit.
Recipe row_recipe(const Caps& caps, const Signature& s, std::span<const size_t> args, Program program);

// Calls f(RowRange) until the rows of the first of these arguments are done, as many at a time as bindings hold.
template <class F>
void for_rows(const Encoder& e, const Signature& s, std::span<const size_t> args, F&& f) {
    const uint64_t rows = uint64_t(s.args[args[0]].rows()), most = rows_at_once(e.caps(), s, args);
    for (uint64_t first = 0; first < rows; first += most) f(RowRange{e, s, first, std::min(most, rows - first)});
}

}  // namespace vks::vulkan
