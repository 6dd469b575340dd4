// The operators in the shapes that a model uses them in: arguments filled at random, too large for tests, right for
// measuring. One family is an operator with its constants, one case of it is a number of rows.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend/conformance/cases.h"
#include "frontend/io/config.h"

namespace vks::bench {

struct OpCase {
    conformance::Case arguments;
    std::string shape;            // "q_a_proj [8, 7168] x [1536, 7168]^T"
    double bytes = 0, flops = 0;  // that it has to move and compute
};

struct OpFamily {
    std::string op;  // "fp8_gemm/1"
    std::string name;
    int64_t context = 0;          // of attention
    int64_t most_rows = 1 << 30;  // the model needs no more
    double constant_bytes = 0;    // memory for what all cases share
    // Both are slow: the first fills the constants.
    std::function<OpCase()> make;
    std::function<void(OpCase&, int64_t rows)> set_rows;
    // Without making anything: the work, and memory for the arguments of so many rows, about.
    std::function<double(int64_t rows)> flops, row_bytes;
};

struct OpCaseOptions {
    bool half = true;
    std::vector<int64_t> contexts = {1024, 8192, 65536};
};
std::vector<OpFamily> op_families(const ModelConfig& config, const OpCaseOptions& options);

// The same case, its constants with type and shape only: they may be gigabytes.
conformance::Case without_constants(const conformance::Case& whole);

// The same case with some of its rows, for a reference that would take too long over all of them: which rows of each
// output are left. Cases that are cheap, and those of few rows, stay whole. Without constants.
struct SampledCase {
    conformance::Case arguments;
    std::vector<int64_t> rows;  // of the outputs that vary; empty: all
};
// `most` is at least 2.
SampledCase sample_rows(const conformance::Case& whole, int64_t most);

// Those rows of a value, in this order.
conformance::Value pick_rows(const conformance::Value& whole, const std::vector<int64_t>& rows);

}  // namespace vks::bench
