// Random streams and the tables behind them.
#include "frontend/io/random_weights.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <numbers>

#include "frontend/io/e4m3.h"

namespace vks {
namespace {

constexpr size_t kQuantiles = 65536;

struct Tables {
    std::array<float, kQuantiles> normal;  // quantiles of N(0, 1) at (i + 1/2) / 65536
    std::array<uint8_t, kQuantiles> e4m3;  // the same times kCodeDeviation, encoded
};

// Newton's method from the quantile before it, which is near.
void fill_normal(std::array<float, kQuantiles>& normal) {
    double x = 0;
    for (size_t i = kQuantiles / 2; i < kQuantiles; ++i) {
        const double p = (static_cast<double>(i) + 0.5) / kQuantiles;
        for (int step = 0; step < 8; ++step) {
            const double above = 0.5 * std::erfc(x / std::numbers::sqrt2);
            const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
            x += (above - (1 - p)) / density;
        }
        normal[i] = static_cast<float>(x);
        normal[kQuantiles - 1 - i] = static_cast<float>(-x);
    }
}

const Tables& tables() {
    static const std::unique_ptr<const Tables> made = [] {
        auto t = std::make_unique<Tables>();
        fill_normal(t->normal);
        for (size_t i = 0; i < kQuantiles; ++i) {
            t->e4m3[i] = encode_e4m3(t->normal[i] * static_cast<float>(kCodeDeviation));
        }
        return t;
    }();
    return *made;
}

// Calls put(i, 16 random bits) for each i < count.
template <class Put>
void for_each_16(RandomStream& stream, size_t count, Put put) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint64_t bits = stream.next();
        put(i, bits & 0xffff);
        put(i + 1, bits >> 16 & 0xffff);
        put(i + 2, bits >> 32 & 0xffff);
        put(i + 3, bits >> 48);
    }
    if (i == count) return;
    for (uint64_t bits = stream.next(); i < count; ++i, bits >>= 16) put(i, bits & 0xffff);
}

uint16_t to_bf16(float x) {
    const auto bits = std::bit_cast<uint32_t>(x);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest, ties to even
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) {
    uint64_t mix = seed ^ 0xcbf29ce484222325;  // FNV-1a over the name, then splitmix64
    for (const char c : name) mix = (mix ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    for (uint64_t& word : state_) {
        mix += 0x9e3779b97f4a7c15;
        uint64_t z = mix;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        word = z ^ (z >> 31);
    }
}

uint64_t RandomStream::next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
}

double RandomStream::uniform() {
    return static_cast<double>(next() >> 11) * 0x1p-53;
}

void random_e4m3(RandomStream& stream, std::span<uint8_t> codes) {
    const auto& table = tables().e4m3;
    for_each_16(stream, codes.size(), [&](size_t i, uint64_t bits) { codes[i] = table[bits]; });
}

void random_bf16(RandomStream& stream, double mean, double deviation, std::span<uint16_t> values) {
    const auto& table = tables().normal;
    const auto m = static_cast<float>(mean), d = static_cast<float>(deviation);
    for_each_16(stream, values.size(), [&](size_t i, uint64_t bits) { values[i] = to_bf16(m + d * table[bits]); });
}

void random_f32(RandomStream& stream, double mean, double deviation, std::span<float> values) {
    const auto& table = tables().normal;
    const auto m = static_cast<float>(mean), d = static_cast<float>(deviation);
    for_each_16(stream, values.size(), [&](size_t i, uint64_t bits) { values[i] = m + d * table[bits]; });
}

}  // namespace vks
