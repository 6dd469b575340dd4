// Host tensors and the small number formats.
#include "backend/conformance/value.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "backend/base/check.h"

namespace vks::conformance {
namespace {

struct Format {
    int exponent_bits, mantissa_bits;
    bool infinity;  // the top exponent means infinity and NaN; else only its all-ones mantissa is NaN
};

Format format(uint32_t dtype) {
    if (dtype == VKS_BF16) return {8, 7, true};
    if (dtype == VKS_F16) return {5, 10, true};
    CHECK(dtype == VKS_F8_E4M3, "no small float: {}", dtype);
    return {4, 3, false};
}

size_t size_of(uint32_t dtype) {
    return static_cast<size_t>(abi::element_bytes(dtype));
}

template <class T>
T read(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

}  // namespace

double decode(uint32_t dtype, uint32_t bits) {
    const Format f = format(dtype);
    const uint32_t mantissa = bits & ((1u << f.mantissa_bits) - 1);
    const int top = (1 << f.exponent_bits) - 1;
    const int exponent = static_cast<int>(bits >> f.mantissa_bits) & top;
    const int bias = top / 2;
    double value = 0;
    if (exponent == top && (f.infinity || mantissa == (1u << f.mantissa_bits) - 1)) {
        value = f.infinity && mantissa == 0 ? INFINITY : NAN;
    } else if (exponent == 0) {
        value = std::ldexp(mantissa, 1 - bias - f.mantissa_bits);
    } else {
        value = std::ldexp(mantissa + (1u << f.mantissa_bits), exponent - bias - f.mantissa_bits);
    }
    return bits >> (f.exponent_bits + f.mantissa_bits) & 1 ? -value : value;
}

uint32_t encode(uint32_t dtype, double x) {
    const Format f = format(dtype);
    const uint32_t sign = std::signbit(x) ? 1u << (f.exponent_bits + f.mantissa_bits) : 0;
    const uint32_t nan = (1u << (f.exponent_bits + f.mantissa_bits)) - 1;
    if (std::isnan(x)) return sign | nan;
    // Positive codes ascend with their values: find the last one not above |x|, then round.
    const double magnitude = std::fabs(x);
    uint32_t low = 0, high = f.infinity ? nan - (1u << f.mantissa_bits) + 1 : nan - 1;  // infinity, or 448
    if (magnitude >= decode(dtype, high)) return sign | high;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        (decode(dtype, middle) <= magnitude ? low : high) = middle;
    }
    // An infinity counts as one step beyond the largest number.
    const double below = decode(dtype, low);
    const double above = std::isinf(decode(dtype, high)) ? 2 * below - decode(dtype, low - 1) : decode(dtype, high);
    const double middle = (below + above) / 2;
    const bool up = magnitude > middle || (magnitude == middle && low % 2 == 1);
    return sign | (up ? high : low);
}

int64_t Value::count() const {
    return dtype == VKS_NONE ? 0 : std::accumulate(dim.begin(), dim.end(), int64_t{1}, std::multiplies<>());
}

double Value::at(int64_t i) const {
    CHECK(i >= 0 && i < count(), "element {} of {}", i, count());
    const std::byte* p = bytes.data() + static_cast<size_t>(i) * size_of(dtype);
    switch (dtype) {
        case VKS_F32:
            return read<float>(p);
        case VKS_I32:
            return read<int32_t>(p);
        case VKS_I64:
            return static_cast<double>(read<int64_t>(p));
        case VKS_U8:
            return read<uint8_t>(p);
        case VKS_F8_E4M3:
            return decode(dtype, read<uint8_t>(p));
        default:
            return decode(dtype, read<uint16_t>(p));
    }
}

int32_t Value::integer(int64_t i) const {
    CHECK(dtype == VKS_I32 && i >= 0 && i < count(), "element {} of {}", i, count());
    return read<int32_t>(bytes.data() + i * 4);
}

void Value::set(int64_t i, double x) {
    CHECK(i >= 0 && i < count(), "element {} of {}", i, count());
    std::byte* p = bytes.data() + static_cast<size_t>(i) * size_of(dtype);
    if (dtype == VKS_F32) {
        const float value = static_cast<float>(x);
        std::memcpy(p, &value, sizeof value);
    } else if (dtype == VKS_I32) {
        const int32_t value = static_cast<int32_t>(x);
        std::memcpy(p, &value, sizeof value);
    } else {
        const uint32_t code = encode(dtype, x);
        std::memcpy(p, &code, size_of(dtype));  // little-endian
    }
}

std::vector<double> Value::doubles() const {
    std::vector<double> all(static_cast<size_t>(count()));
    for (size_t i = 0; i < all.size(); ++i) all[i] = at(static_cast<int64_t>(i));
    return all;
}

Value zeros(uint32_t dtype, std::vector<int64_t> dim) {
    Value value{dtype, std::move(dim), {}};
    value.bytes.resize(static_cast<size_t>(value.count()) * size_of(dtype));
    return value;
}

Value make(uint32_t dtype, std::vector<int64_t> dim, const std::vector<double>& values) {
    Value value = zeros(dtype, std::move(dim));
    CHECK(values.size() == static_cast<size_t>(value.count()), "{} values for {}", values.size(), value.count());
    for (size_t i = 0; i < values.size(); ++i) value.set(static_cast<int64_t>(i), values[i]);
    return value;
}

Value ints(std::vector<int64_t> dim, const std::vector<int32_t>& values) {
    return make(VKS_I32, std::move(dim), {values.begin(), values.end()});
}

Value cast(const Value& value, uint32_t dtype) {
    return make(dtype, value.dim, value.doubles());
}

Value reshape(Value value, std::vector<int64_t> dim) {
    const int64_t before = value.count();
    value.dim = std::move(dim);
    CHECK(value.count() == before, "reshape of {} to {} elements", before, value.count());
    return value;
}

Value slice(const Value& value, int64_t first, int64_t count) {
    CHECK(first >= 0 && count >= 0 && first + count <= value.rows(), "rows {}+{} of {}", first, count, value.rows());
    Value part{value.dtype, value.dim, {}};
    part.dim[0] = count;
    const int64_t row = value.rows() ? static_cast<int64_t>(value.bytes.size()) / value.rows() : 0;
    part.bytes.assign(value.bytes.begin() + first * row, value.bytes.begin() + (first + count) * row);
    return part;
}

Value concat_rows(const std::vector<Value>& parts) {
    Value all = parts.at(0);
    for (size_t i = 1; i < parts.size(); ++i) {
        all.dim[0] += parts[i].rows();
        all.bytes.insert(all.bytes.end(), parts[i].bytes.begin(), parts[i].bytes.end());
    }
    return all;
}

Value concat_columns(const Value& a, const Value& b) {
    Value all = zeros(a.dtype, {a.rows(), a.columns() + b.columns()});
    for (int64_t r = 0; r < a.rows(); ++r) {
        for (int64_t c = 0; c < all.columns(); ++c) {
            all.set(r * all.columns() + c, c < a.columns() ? a.at(r, c) : b.at(r, c - a.columns()));
        }
    }
    return all;
}

double Random::uniform() {
    return static_cast<double>(engine_() >> 11) * 0x1p-53;
}

// The sum of twelve uniforms: near enough, and the same everywhere.
double Random::normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
}

int64_t Random::below(int64_t n) {
    return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n));
}

Value Random::value(uint32_t dtype, std::vector<int64_t> dim, double scale) {
    Value value = zeros(dtype, std::move(dim));
    for (int64_t i = 0; i < value.count(); ++i) value.set(i, scale * normal());
    return value;
}

Value Random::positive(std::vector<int64_t> dim, double from, double to) {
    Value value = zeros(VKS_F32, std::move(dim));
    for (int64_t i = 0; i < value.count(); ++i) value.set(i, from + (to - from) * uniform());
    return value;
}

double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
    CHECK(got.size() == want.size(), "{} values against {}", got.size(), want.size());
    double difference = 0, norm = 0;
    for (size_t i = 0; i < got.size(); ++i) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    return difference == 0 ? 0 : std::sqrt(difference / norm);
}

double largest_row_error(const std::vector<double>& got, const std::vector<double>& want, int64_t columns) {
    double largest = 0;
    for (auto g = got.begin(), w = want.begin(); g != got.end(); g += columns, w += columns) {
        const double error = relative_error({g, g + columns}, {w, w + columns});
        if (!(error <= largest)) largest = error;
    }
    return largest;
}

}  // namespace vks::conformance
