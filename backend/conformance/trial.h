// One case of an operator on a device, and what is to be said about it. Outputs begin as NaN between guard zones,
// inputs must stay as they were, and two runs must agree in every bit.
#pragma once
#include <string>
#include <vector>

#include "backend/conformance/cases.h"

namespace vks::conformance {

struct Outcome {
    std::string unsupported;  // the reason, when query says so
    std::string problem;
    std::string variant;
    std::vector<Value> outputs;  // in-out and output arguments, in order
};

Outcome run(Target& target, const Case& c);

// What is wrong with `got`; empty when nothing is. `want` is the reference's outcome; null: then numbers need only be
// numbers.
std::string judge(const Case& c, const Outcome& got, const Outcome* want);

}  // namespace vks::conformance
