// Arguments of operators for benchmarks: random, fast to make, the same every time.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "backend/conformance/cases.h"
#include "frontend/io/random_weights.h"

namespace vks::bench {

inline int64_t blocks(int64_t n) {
    return (n + 127) / 128;
}

// Arguments that vary from launch to launch are prepared for as many rows as they have; `fixed`: its rows don't vary.
conformance::Argument input(conformance::Value value, bool fixed = false);
conformance::Argument constant(conformance::Value value);
conformance::Argument output(uint32_t dtype, std::vector<int64_t> dim,
                             conformance::Compare compare = conformance::Compare::kClose, bool fixed = false);

class Filler {
public:
    explicit Filler(const std::string& name) : stream_(1, name) {}
    // Normally distributed; e4m3 codes over their whole range whatever the scale. f32, bf16 and e4m3.
    conformance::Value value(uint32_t dtype, std::vector<int64_t> dim, double scale);
    // f32, such as scales: [0.005, 0.02).
    conformance::Value positive(std::vector<int64_t> dim);
    conformance::Value integers(std::vector<int64_t> dim, int64_t below);
    // An e4m3 matrix and its scale, of elements about 1 / sqrt(k).
    std::vector<conformance::Argument> fp8_matrix(int64_t n, int64_t k);
    // k different experts of e for each of t rows, ascending: all alike, or the first ones far oftener than the last.
    conformance::Value choices(int64_t t, int64_t k, int64_t e, bool skewed);

private:
    RandomStream stream_;
};

// The lists that moe_dispatch makes of choices (backend/abi/ops.h).
class ExpertLists {
public:
    ExpertLists(const conformance::Value& choices, int64_t experts);
    conformance::Value offset() const { return conformance::ints({std::ssize(offset_)}, offset_); }
    conformance::Value row() const { return conformance::ints({std::ssize(row_)}, row_); }
    conformance::Value pos() const { return conformance::ints(dim_, pos_); }
    int64_t used() const;  // experts with a row

private:
    std::vector<int64_t> dim_;
    std::vector<int32_t> offset_, row_, pos_;
};

}  // namespace vks::bench
