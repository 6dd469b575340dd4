// Host tensors for trials of operators, and number formats worked out in double from their definitions, independently
// of any plugin's code. For trusted test data: sizes are CHECKed only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "backend/abi/plugin.hpp"

namespace vks::conformance {

// A contiguous row-major tensor. dtype NONE: an absent argument.
struct Value {
    uint32_t dtype = VKS_NONE;
    std::vector<int64_t> dim;
    std::vector<std::byte> bytes;

    int64_t count() const;
    int64_t rows() const { return dim.at(0); }
    int64_t columns() const { return count() / rows(); }
    double at(int64_t i) const;  // any dtype
    double at(int64_t r, int64_t c) const { return at(r * columns() + c); }
    int32_t integer(int64_t i) const;  // I32 only
    void set(int64_t i, double x);     // rounds to the dtype
    std::vector<double> doubles() const;
    bool operator==(const Value&) const = default;  // bits
};

double decode(uint32_t dtype, uint32_t bits);  // bf16, f16, e4m3
uint32_t encode(uint32_t dtype, double x);     // nearest, ties to even; e4m3 saturates

Value make(uint32_t dtype, std::vector<int64_t> dim, const std::vector<double>& values);
Value zeros(uint32_t dtype, std::vector<int64_t> dim);
Value ints(std::vector<int64_t> dim, const std::vector<int32_t>& values);
Value cast(const Value& value, uint32_t dtype);
Value reshape(Value value, std::vector<int64_t> dim);
// Rows [first, first + count) of the outermost dimension.
Value slice(const Value& value, int64_t first, int64_t count);
Value concat_rows(const std::vector<Value>& parts);
Value concat_columns(const Value& a, const Value& b);  // of rank-2 values

// Reproducible on every machine. Values are roughly normal with deviation `scale`, rounded to the dtype.
class Random {
public:
    explicit Random(uint64_t seed) : engine_(seed) {}
    double uniform();  // [0, 1)
    double normal();
    int64_t below(int64_t n);
    Value value(uint32_t dtype, std::vector<int64_t> dim, double scale = 1.0);
    Value positive(std::vector<int64_t> dim, double from, double to);  // f32, uniform

private:
    std::mt19937_64 engine_;
};

// ||got - want|| / ||want|| over everything; 0 for two zeros. NaN where one of them has it.
double relative_error(const std::vector<double>& got, const std::vector<double>& want);
double largest_row_error(const std::vector<double>& got, const std::vector<double>& want, int64_t columns);

}  // namespace vks::conformance
