// When two answers of an operator are the same answer.
#pragma once
#include <string>

#include "backend/conformance/value.h"

namespace vks::conformance {

// How an output is compared with the reference.
enum class Compare {
    kClose,  // relative error over the whole tensor
    kExact,  // every element; integers
    kCodes,  // e4m3: at most one code apart, and rarely
};

// Of kClose outputs. f32: sums in another order; bf16: results rounded to the other of two neighbours, 2^-9 apart.
constexpr double kF32 = 2e-5, kBf16 = 1e-2;
// Of the scale of rows that were quantised after other arithmetic.
constexpr double kScale = 1e-3;
constexpr double tolerance(uint32_t act) {
    return act == VKS_F32 ? kF32 : kBf16;
}

// What is wrong with `got`; empty when nothing is.
std::string compare(Compare how, const Value& got, const Value& want, double tolerance);
// The first element that is no number, or else the one furthest from `want`; of tensors that are not the same.
int64_t worst_element(const Value& got, const Value& want);

}  // namespace vks::conformance
