// Arithmetic on sizes and rows that operators share.
#pragma once
#include <algorithm>
#include <cstdint>

#include "plugins/cpu/op.h"

namespace vks::cpu {

constexpr int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

// Rows [first, last) of a cache.
struct Span {
    int64_t first = 0, last = 0;
    bool empty() const { return first >= last; }
};

// What token t sees of a cache of so many rows. `spans` i32 [T, 2] may say anything: it is cut to the rows there are.
inline Span span_of(const Arg& spans, int64_t t, int64_t rows) {
    const int32_t* s = spans.as<int32_t>() + 2 * t;
    const int64_t first = std::clamp<int64_t>(s[0], 0, rows);
    return {first, std::clamp<int64_t>(int64_t{s[0]} + s[1], first, rows)};
}

}  // namespace vks::cpu
