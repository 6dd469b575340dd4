#include "frontend/bench/op_maker.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "backend/base/check.h"

namespace vks::bench {

using conformance::Argument;
using conformance::Role;
using conformance::Value;

Argument input(Value value, bool fixed) {
    const int64_t most = fixed ? 0 : value.rows();
    return {Role::kInput, std::move(value), most, conformance::Compare::kClose, -1};
}

Argument constant(Value value) {
    return {Role::kConstant, std::move(value), 0, conformance::Compare::kClose, -1};
}

Argument output(uint32_t dtype, std::vector<int64_t> dim, conformance::Compare compare, bool fixed) {
    const int64_t most = fixed ? 0 : dim[0];
    return {Role::kOutput, {dtype, std::move(dim), {}}, most, compare, -1};
}

Value Filler::value(uint32_t dtype, std::vector<int64_t> dim, double scale) {
    Value made = conformance::zeros(dtype, std::move(dim));
    void* data = made.bytes.data();
    const auto n = size_t(made.count());
    if (dtype == VKS_F32) {
        random_f32(stream_, 0, scale, {static_cast<float*>(data), n});
    } else if (dtype == VKS_BF16) {
        random_bf16(stream_, 0, scale, {static_cast<uint16_t*>(data), n});
    } else {
        CHECK(dtype == VKS_F8_E4M3, "random values of dtype {}", dtype);
        random_e4m3(stream_, {static_cast<uint8_t*>(data), n});
    }
    return made;
}

Value Filler::positive(std::vector<int64_t> dim) {
    Value made = conformance::zeros(VKS_F32, std::move(dim));
    void* data = made.bytes.data();
    for (float& x : std::span(static_cast<float*>(data), size_t(made.count())))
        x = float(0.005 + 0.015 * stream_.uniform());
    return made;
}

Value Filler::integers(std::vector<int64_t> dim, int64_t below) {
    Value made = conformance::zeros(VKS_I32, std::move(dim));
    void* data = made.bytes.data();
    for (int32_t& x : std::span(static_cast<int32_t*>(data), size_t(made.count())))
        x = int32_t(stream_.next() % uint64_t(below));
    return made;
}

std::vector<Argument> Filler::fp8_matrix(int64_t n, int64_t k) {
    Value scale = positive({blocks(n), blocks(k)});
    // Codes have a deviation of kCodeDeviation, positive() a mean of 0.0125.
    const double factor = 1 / (std::sqrt(double(k)) * kCodeDeviation * 0.0125);
    for (int64_t i = 0; i < scale.count(); ++i) scale.set(i, scale.at(i) * factor);
    return {constant(value(VKS_F8_E4M3, {n, k}, 1)), constant(std::move(scale))};
}

Value Filler::choices(int64_t t, int64_t k, int64_t e, bool skewed) {
    std::vector<int32_t> all;
    for (int64_t row = 0; row < t; ++row) {
        std::vector<int32_t> chosen;
        while (std::ssize(chosen) < k) {
            const double u = stream_.uniform();
            // Skewed: the density of u^4 falls as a power; the first tenth of the experts get more than half.
            const auto expert = std::min(int32_t(double(e) * (skewed ? u * u * u * u : u)), int32_t(e - 1));
            if (std::find(chosen.begin(), chosen.end(), expert) == chosen.end()) chosen.push_back(expert);
        }
        std::sort(chosen.begin(), chosen.end());
        all.insert(all.end(), chosen.begin(), chosen.end());
    }
    return conformance::ints({t, k}, all);
}

ExpertLists::ExpertLists(const Value& choices, int64_t experts) : dim_(choices.dim) {
    const int64_t pairs = choices.count(), k = choices.columns();
    offset_.assign(size_t(experts) + 1, 0);
    for (int64_t i = 0; i < pairs; ++i) ++offset_[size_t(choices.integer(i)) + 1];
    for (size_t x = 1; x < offset_.size(); ++x) offset_[x] += offset_[x - 1];
    std::vector<int32_t> next = offset_;
    row_.resize(size_t(pairs));
    pos_.resize(size_t(pairs));
    for (int64_t i = 0; i < pairs; ++i) {
        const int32_t at = next[size_t(choices.integer(i))]++;
        row_[size_t(at)] = int32_t(i / k);
        pos_[size_t(i)] = at;
    }
}

int64_t ExpertLists::used() const {
    int64_t n = 0;
    for (size_t x = 1; x < offset_.size(); ++x) n += offset_[x] > offset_[x - 1];
    return n;
}

}  // namespace vks::bench
