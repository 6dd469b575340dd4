#include "backend/conformance/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

namespace vks::conformance {
namespace {

// e4m3 codes in ascending order of their values.
int order(std::byte code) {
    const int magnitude = int(code) & 0x7f;
    return int(code) & 0x80 ? -magnitude : magnitude;
}

std::string compare_codes(const Value& got, const Value& want) {
    int64_t other = 0;
    for (size_t i = 0; i < want.bytes.size(); ++i) {
        const int distance = std::abs(order(got.bytes[i]) - order(want.bytes[i]));
        if (distance > 1)
            return fmt::format("code {}: wanted {:#x}, found {:#x}", i, int(want.bytes[i]), int(got.bytes[i]));
        other += distance;
    }
    const int64_t most = 1 + want.count() / 100;
    return other <= most ? "" : fmt::format("wanted at most {} codes one apart, found {}", most, other);
}

}  // namespace

std::string compare(Compare how, const Value& got, const Value& want, double tolerance) {
    if (got.bytes == want.bytes) return {};
    if (how == Compare::kCodes) return compare_codes(got, want);
    if (how == Compare::kExact) {
        for (int64_t i = 0; i < want.count(); ++i)
            if (got.at(i) != want.at(i))
                return fmt::format("element {}: wanted {}, found {}", i, want.at(i), got.at(i));
        return {};
    }
    const double error = relative_error(got.doubles(), want.doubles());
    if (error <= tolerance) return {};  // not when it is NaN
    return fmt::format("wanted a relative error of {:.1e} or less, found {:.1e}", tolerance, error);
}

int64_t worst_element(const Value& got, const Value& want) {
    int64_t worst = 0;
    double most = -1;
    for (int64_t i = 0; i < want.count(); ++i) {
        const double distance = std::abs(got.at(i) - want.at(i));
        if (std::isnan(distance)) return i;
        if (distance <= most) continue;
        most = distance;
        worst = i;
    }
    return worst;
}

}  // namespace vks::conformance
